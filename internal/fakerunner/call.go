package fakerunner

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// buildError is an end that the runner does not retry, with the script's code.
type buildError struct{ code int }

func (e *buildError) Error() string { return "exit status " + strconv.Itoa(e.code) }

// forceKill is how long the runner waits after SIGKILL before it gives up on a
// process.
const forceKill = 10 * time.Second

// call runs one stage binary in its own process group.
func (a *attempt) call(ctx context.Context, stage string, argv []string, stdout, stderr io.Writer, timeout time.Duration) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = a.dir
	cmd.Env = a.environ(stage)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("failed to start command: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		return a.classify(err)
	case <-ctx.Done():
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	select {
	case err := <-done:
		return a.classify(err)
	case <-time.After(max(a.GracefulKill, time.Second)):
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	select {
	case err := <-done:
		return a.classify(err)
	case <-time.After(forceKill):
		return errors.New("failed to kill process, likely process is dormant")
	}
}

// environ is the environment of every call; of names set twice the last counts.
func (a *attempt) environ(stage string) []string {
	env := append([]string{}, a.Environ...)
	env = append(
		env,
		"TMPDIR="+a.dir,
		"BUILD_FAILURE_EXIT_CODE="+strconv.Itoa(buildFailure),
		"SYSTEM_FAILURE_EXIT_CODE="+strconv.Itoa(systemFailure),
		"JOB_RESPONSE_FILE="+filepath.Join(a.dir, "response.json"),
	)
	if !a.WithoutExitCodeFile {
		env = append(env, "BUILD_EXIT_CODE_FILE="+a.exitCodeFile())
	}
	env = append(env, a.jobEnv...)
	env = append(env, a.variables...)
	return append(env, a.StageEnv[stage]...)
}

func (a *attempt) exitCodeFile() string { return filepath.Join(a.dir, "build_exit_code") }

// classify is the runner's reading of a stage's exit code.
func (a *attempt) classify(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	switch exit.ExitCode() {
	case buildFailure:
		return a.scriptCode()
	case systemFailure:
		return err
	default:
		return fmt.Errorf("unknown failure: %w", err)
	}
}

// scriptCode reads the script's own exit code: a missing file is code 1, an odd
// one a system failure.
func (a *attempt) scriptCode() error {
	f, err := os.Open(a.exitCodeFile())
	if err != nil || a.WithoutExitCodeFile {
		return &buildError{code: buildFailure}
	}
	defer f.Close()
	line, _ := bufio.NewReader(f).ReadString('\n')
	code, err := strconv.Atoi(strings.TrimRight(line, "\n"))
	if err != nil {
		return fmt.Errorf("unknown failure: odd exit code file: %w", err)
	}
	return &buildError{code: code}
}
