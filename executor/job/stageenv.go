package job

// This file reads the environment of a stage: what GitLab Runner tells each of
// its driver's programs. It promises to tell "not started by a runner" apart
// from everything else.

import (
	"errors"
	"fmt"
	"strconv"

	"envrole/roles/fault"
)

// The variables by which GitLab Runner speaks to a custom executor's driver.
const (
	envBuildFailure  = "BUILD_FAILURE_EXIT_CODE"
	envSystemFailure = "SYSTEM_FAILURE_EXIT_CODE"
	envExitCodeFile  = "BUILD_EXIT_CODE_FILE"
	envPayloadFile   = "JOB_RESPONSE_FILE"
	envTempDir       = "TMPDIR"
)

// ErrOutsideRunner means that the program was not started by GitLab Runner.
var ErrOutsideRunner = errors.New("not started by GitLab Runner")

// StageEnv is what the runner tells a stage.
type StageEnv struct {
	BuildFailure  int // exit code for "the job failed", final
	SystemFailure int // exit code for "the system failed", may be retried
	// ExitCodeFile takes the script's own exit code; "" before runner 17.9.
	ExitCodeFile string
	// PayloadFile and TempDir may be "" in cleanup.
	PayloadFile string
	TempDir     string
}

// ReadStageEnv reads the stage's environment through getenv (os.Getenv).
// Without the runner's exit codes the error is ErrOutsideRunner, with help
// that says what the program is and what it needs.
func ReadStageEnv(getenv func(string) string) (StageEnv, error) {
	e := StageEnv{ExitCodeFile: getenv(envExitCodeFile), PayloadFile: getenv(envPayloadFile), TempDir: getenv(envTempDir)}
	for _, code := range []struct {
		name string
		to   *int
	}{{envBuildFailure, &e.BuildFailure}, {envSystemFailure, &e.SystemFailure}} {
		text := getenv(code.name)
		if text == "" {
			return StageEnv{}, fault.New(fault.Permanent, "start", "", ErrOutsideRunner,
				"This program is a stage of EnvRole, a driver for GitLab Runner's custom executor. GitLab Runner starts it "+
					"for each job, as [runners.custom] in its config.toml says, and sets "+envBuildFailure+", "+
					envSystemFailure+" and "+envPayloadFile+". To try a configuration by hand, use `envrole check` and `envrole explain`.")
		}
		n, err := exitCode(text)
		if err != nil {
			return StageEnv{}, fault.New(fault.Permanent, "read", code.name, err, "GitLab Runner sets this variable to a number from 1 to 255.")
		}
		*code.to = n
	}
	return e, nil
}

func exitCode(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%s is no exit code", Quote(text))
	}
	return int(n), nil
}
