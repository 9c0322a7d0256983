package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"envrole/executor"
	"envrole/roles/fault"
)

// settle is how long after its start a program may have missed a signal that
// went to the whole process group: it did not exist yet when the signal came.
const settle = 50 * time.Millisecond

// command is one call of a program of the wrapped driver.
type command struct {
	what string   // for errors: "prepare", "run build_script"
	argv []string // not empty
	env  []string

	starting func() // a test makes it slow; nil is nothing
}

// run starts the program as the runner does and waits for its end. A nil stderr
// is stdout. ended, if not nil, is called as soon as the program has ended.
//
// The program is in the runner's process group, so the signal that ends ctx has
// reached it too: it is not sent again, and the program ends in its own time, or
// by the SIGKILL that the runner sends the group when its patience ends. A
// signal to this process alone, which the runner never sends, ends nothing. For
// a runner that was killed this process signals.
//
// An exit code other than 0 gives an *executor.StageError, death by a signal a
// passing fault, or ctx's cause if ctx had ended.
func (c command) run(ctx context.Context, stdout, stderr io.Writer, ended func()) error {
	// The kernel kills the program when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", c.what, context.Cause(ctx))
	}
	defer outliveLog()()
	out, err := newStreams(stdout, stderr)
	if err != nil {
		return fault.New(fault.Internal, "make pipes for", c.argv[0], err, "")
	}
	cmd := &exec.Cmd{ // a nil Stdin is /dev/null, an empty Dir this process's own
		Path: c.argv[0], Args: c.argv, Env: c.env, Stdout: out.stdout(), Stderr: out.stderr(),
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
	if c.starting != nil {
		c.starting()
	}
	err = cmd.Start()
	begun := time.Now() // not before: on a busy host a start may take longer than settle
	out.started()
	if err != nil {
		_ = out.drain()
		return fault.New(fault.Internal, "start the wrapped driver", c.what, err,
			"Administrator: see that the program is there and that the runner's user may run it.")
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var waitErr error
	select {
	case waitErr = <-done:
	case <-ctx.Done():
		if time.Since(begun) < settle {
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by now
		}
		if errors.Is(context.Cause(ctx), executor.ErrRunnerGone) {
			standIn(cmd.Process)
		}
		waitErr = <-done
	}
	if ended != nil {
		ended()
	}
	copyErr := out.drain()
	if err := c.outcome(ctx, cmd.ProcessState, waitErr); err != nil {
		return err
	}
	if copyErr != nil {
		return fmt.Errorf("%s: %w", c.what, copyErr)
	}
	return nil
}

// standIn sends the signal that the runner would have sent: to the process group
// where that is of this stage alone, as under the runner, else to the program.
func standIn(program *os.Process) {
	if group := syscall.Getpgrp(); group == os.Getpid() {
		_ = syscall.Kill(-group, syscall.SIGTERM) // this process has noticed already
		return
	}
	_ = program.Signal(syscall.SIGTERM)
}

// outcome turns the end of the program into an error.
func (c command) outcome(ctx context.Context, state *os.ProcessState, waitErr error) error {
	var exit *exec.ExitError
	if waitErr != nil && !errors.As(waitErr, &exit) {
		return fault.New(fault.Internal, "wait for the wrapped driver", c.what, waitErr, "")
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	switch {
	case !ok:
		return fault.New(fault.Internal, "wait for the wrapped driver", c.what, waitErr, "")
	case status.Exited() && status.ExitStatus() == 0:
		return nil
	case status.Exited():
		return &executor.StageError{Code: status.ExitStatus()}
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", c.what, context.Cause(ctx))
	}
	help := ""
	if status.Signal() == syscall.SIGKILL {
		help = "The host may be out of memory: look into its kernel log."
	}
	return fault.New(fault.Passing, "run the wrapped driver", c.what,
		fmt.Errorf("it was killed by signal %d (%s)", status.Signal(), status.Signal()), help)
}

// outliveLog makes a log that nobody reads any more an error of writing to it:
// SIGPIPE would end this process, and a copy of the script would stay behind.
// The wrapped driver gets SIGPIPE as usual.
func outliveLog() (stop func()) {
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	return func() { signal.Stop(broken) }
}
