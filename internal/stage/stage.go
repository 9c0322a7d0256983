// Package stage is what the four stage binaries share: the command line, the
// signals, the way an error becomes words and an exit code. The packages below
// it wire the rooms of one stage each and hold no logic of their own.
package stage

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"envrole/executor"
	"envrole/executor/job"
	"envrole/internal/bases"
	"envrole/internal/version"
	"envrole/roles/fault"
)

// DefaultConfig is where the configuration is unless --config or
// ENVROLE_CONFIG names another file.
const DefaultConfig = "/etc/envrole/config.toml"

// Call is one call of a stage by the runner.
type Call struct {
	ConfigFile string
	Args       []string     // what follows the flags
	Runner     job.StageEnv // what the runner set in the environment
	Stdout     io.Writer
	Stderr     io.Writer
	Bases      bases.Set // see Known
}

// Stage is one of the four programs.
type Stage struct {
	Name  string // "envrole-run"
	Usage string // one line after the name: arguments
	About string // what it does, for --help
	NArgs int    // how many arguments the runner adds
	Run   func(context.Context, Call) error
	// Bases are the base executors that the program links; none means the
	// lean ones.
	Bases bases.Set
}

// exitOutsideRunner is used where the runner did not say which codes to use:
// the code of a wrong command line, never one of the runner's (1, 2 by default).
const exitOutsideRunner = 64

// Main runs the stage as a program and gives its exit code.
func Main(s Stage, args []string) int {
	CloseMemory()
	flags := flag.NewFlagSet(s.Name, flag.ContinueOnError)
	flags.SetOutput(os.Stderr)
	configFile := flags.String("config", firstOf(os.Getenv("ENVROLE_CONFIG"), DefaultConfig), "configuration `FILE` (environment: ENVROLE_CONFIG)")
	showVersion := flags.Bool("version", false, "print the version and exit")
	flags.Usage = func() { s.help(flags.Output(), flags) }
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return failureCode(exitOutsideRunner)
	}
	if *showVersion {
		_, _ = fmt.Println(s.Name, version.String())
		return 0
	}
	runner, err := job.ReadStageEnv(os.Getenv)
	if err != nil {
		_, _ = fmt.Fprintf(os.Stderr, "%s: %v\n\n", s.Name, err)
		s.help(os.Stderr, flags)
		return failureCode(exitOutsideRunner)
	}
	if flags.NArg() != s.NArgs {
		_, _ = fmt.Fprintf(os.Stderr, "%s: got %d arguments, want %d\n\n", s.Name, flags.NArg(), s.NArgs)
		s.help(os.Stderr, flags)
		return runner.SystemFailure
	}
	// The runner ends a stage with SIGTERM to its process group; SIGINT comes
	// only from a person at a terminal.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err = s.Run(ctx, Call{
		ConfigFile: *configFile, Args: flags.Args(), Runner: runner,
		Stdout: os.Stdout, Stderr: os.Stderr, Bases: s.Bases,
	})
	if err == nil {
		return 0
	}
	if !said(err) {
		explainEnd(os.Stderr, err, context.Cause(ctx))
	}
	return ExitCode(err, runner)
}

// said says whether the job's log has all there is to say of an error: a script
// or a wrapped driver failed, and wrote why.
func said(err error) bool {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(several.Unwrap(), func(e error) bool { return !said(e) })
	}
	var scripted *ScriptFailure
	var wrapped *executor.StageError
	return errors.As(err, &scripted) || errors.As(err, &wrapped)
}

// Known is the base executors of this program.
func (call Call) Known() bases.Set {
	if call.Bases == nil {
		return bases.Lean()
	}
	return call.Bases
}

func (s Stage) help(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprintf(w, "Usage: %s [--config FILE] %s\n\n%s\n\nFlags:\n", s.Name, s.Usage, s.About)
	flags.SetOutput(w)
	flags.PrintDefaults()
}

// failureCode is the runner's system-failure code if it gave one, so that even
// a broken command line is understood by it.
func failureCode(fallback int) int {
	if env, err := job.ReadStageEnv(os.Getenv); err == nil {
		return env.SystemFailure
	}
	return fallback
}

// ScriptFailure says that the job's own script failed: nothing of ours did, so
// nothing is printed, and the exit code has been handed over already.
type ScriptFailure struct{ Code int }

func (e *ScriptFailure) Error() string { return fmt.Sprintf("script ended with exit code %d", e.Code) }

// ExitCode is the one place where an error becomes an exit code: the runner's
// build-failure code for what a retry cannot mend, its system-failure code for
// everything else.
func ExitCode(err error, runner job.StageEnv) int {
	if err == nil {
		return 0
	}
	var scripted *ScriptFailure
	if errors.As(err, &scripted) {
		return runner.BuildFailure
	}
	var wrapped *executor.StageError
	if errors.As(err, &wrapped) {
		return wrapped.Code
	}
	switch fault.ClassOf(err) {
	case fault.Refused, fault.Permanent:
		return runner.BuildFailure
	case fault.Passing, fault.Internal:
		return runner.SystemFailure
	}
	return runner.SystemFailure
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
