package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"envrole/executor"
	"envrole/roles/fault"
)

// Run implements executor.Executor. Besides *executor.ExitError it returns
// ctx's cause when ctx ended the script, a passing fault when something else
// killed its shell, and an internal one when the script could not be run.
func (e *Executor) Run(ctx context.Context, script executor.Script, env []string, out io.Writer) error {
	// On a thread that lasts as long as the script: the kernel kills the shell
	// when the thread that started it ends, and that thread gives up rights.
	done := make(chan error, 1)
	go onOwnThread(func() { done <- e.run(ctx, script, env, out) })
	return <-done
}

func (e *Executor) run(ctx context.Context, script executor.Script, env []string, out io.Writer) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("run %s: %w", script.SubStage, context.Cause(ctx))
	}
	if err := e.plan.check(); err != nil {
		return err
	}
	release, err := e.plan.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := adoptOrphans(); err != nil {
		return err
	}
	if err := e.ensureTmp(); err != nil {
		return err
	}
	if err := e.plan.giveUp(); err != nil {
		return fmt.Errorf("run %s: %w", script.SubStage, err)
	}
	defer outliveLog()()
	pipe, err := newOutput()
	if err != nil {
		return err
	}
	r, err := e.startShell(script, env, pipe.write)
	pipe.write.Close()
	if err != nil {
		pipe.read.Close()
		return fmt.Errorf("run %s: %w", script.SubStage, err)
	}
	defer running.leave(r.cmd.Process.Pid)
	pipe.copyTo(out)
	return e.wait(ctx, r, pipe, script)
}

// runningScript is a script that was started.
type runningScript struct {
	cmd  *exec.Cmd // the shell, or the init of its namespaces
	tree *tree
	box  *box // nil without namespaces
}

// outliveLog makes a log that nobody reads any more an error of writing to it:
// SIGPIPE would end this process, as it does when the runner is killed, and the
// job's processes would go on without it. The job itself gets SIGPIPE as usual.
func outliveLog() (stop func()) {
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	return func() { signal.Stop(broken) }
}

// wait sees the script to its end, by itself or by ctx.
func (e *Executor) wait(ctx context.Context, r runningScript, pipe *output, script executor.Script) error {
	subStage := script.SubStage
	mainDone := make(chan struct{})
	go func() {
		_ = r.cmd.Wait() // its state says how it ended
		close(mainDone)
	}()
	stopReaping := reapStale()
	cancelled := false
	select {
	case <-mainDone:
	case <-r.box.ended():
		r.box.settle(mainDone)
	case <-ctx.Done():
		cancelled = true
	}
	cancelled = cancelled || r.signalled(ctx, mainDone)
	if !cancelled && script.Ended != nil {
		script.Ended()
	}
	endErr := r.tree.end(e.plan.grace(), mainDone)
	stopReaping()
	copyErr := pipe.drain()
	r.tree.group.remove()
	if endErr != nil {
		return fault.New(fault.Internal, "end processes of", subStage, errors.Join(endErr, context.Cause(ctx)), "")
	}
	<-mainDone
	if r.box != nil {
		<-r.box.done
	}
	status, err := r.box.status(r.cmd.ProcessState)
	if cancelled || signalledWith(ctx, status) {
		return fmt.Errorf("run %s: %w", subStage, context.Cause(ctx))
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", subStage, err)
	}
	if copyErr != nil {
		return fmt.Errorf("run %s: %w", subStage, copyErr)
	}
	return outcome(status, subStage)
}

// signalled says whether the shell's end is the runner's doing. Its script has then
// not ended: what the shell had started may still tidy up. A shell in namespaces is
// in a session of its own and gets no signal of the runner's.
func (r runningScript) signalled(ctx context.Context, mainDone <-chan struct{}) bool {
	if r.box != nil {
		return false
	}
	<-mainDone
	status, err := r.box.status(r.cmd.ProcessState)
	return err == nil && signalledWith(ctx, status)
}

// signalledWith says whether the shell died of the signal that also ends ctx:
// the runner signals the whole process group, so the shell may be dead before
// this process has noticed its own.
func signalledWith(ctx context.Context, status syscall.WaitStatus) bool {
	if !status.Signaled() || !slices.Contains([]syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}, status.Signal()) {
		return false
	}
	select {
	case <-ctx.Done():
		return true
	case <-time.After(time.Second):
		return false
	}
}

func outcome(status syscall.WaitStatus, subStage string) error {
	switch {
	case status.Exited() && status.ExitStatus() == 0:
		return nil
	case status.Exited():
		return &executor.ExitError{Code: status.ExitStatus()}
	}
	err := fmt.Errorf("the job's shell was killed by signal %d (%s)", status.Signal(), status.Signal())
	help := ""
	if status.Signal() == syscall.SIGKILL {
		help = "The host may be out of memory: look into its kernel log."
	}
	return fault.New(fault.Passing, "run", subStage, err, help)
}

// startShell starts the shell on the script, with nothing of this process but
// the given pipe and environment.
func (e *Executor) startShell(script executor.Script, env []string, pipe *os.File) (runningScript, error) {
	var none runningScript
	environ := e.plan.environ(os.Environ(), env)
	r := runningScript{tree: &tree{marker: e.plan.mark(), orphan: map[int]bool{}}, cmd: &exec.Cmd{
		Path: e.plan.Shell, Args: []string{e.plan.Shell, script.Path}, Dir: e.plan.tmpDir(),
		Env: environ, Stdout: pipe, Stderr: pipe, // a nil Stdin is /dev/null
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}}
	if e.plan.SwitchUser {
		mem, err := sealedScript(script.Path)
		if err != nil {
			return none, err
		}
		defer mem.Close()
		r.cmd.Args[1], r.cmd.ExtraFiles = scriptFD, []*os.File{mem}
		r.cmd.SysProcAttr.Credential = e.plan.credential()
		// Its own session: the job cannot reach a terminal of the runner.
		// Under the runner's own user it stays in the runner's process group.
		r.cmd.SysProcAttr.Setsid = true
		if e.plan.isolated() {
			if r.box, err = newBox(e.plan.order(r.cmd.Args, environ, script.Shared), mem); err != nil {
				return none, isolationFault(err)
			}
			r.cmd = r.box.command(pipe)
		}
	}
	err := keepFiles()
	if err == nil {
		err = e.startIn(r.cmd, r.tree)
	}
	switch {
	case err != nil && r.box != nil:
		r.box.abandon()
		return none, err
	case err != nil:
		return none, err
	case r.box != nil:
		r.box.started()
	}
	r.tree.main = r.cmd.Process.Pid
	if r.box != nil {
		r.tree.reaper = r.tree.main
	}
	return r, nil
}

// keepFiles keeps from the job what came open from our own parent.
func keepFiles() error {
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("keep open files from the job: %w", err)
	}
	return nil
}

// startIn starts the shell in the job's cgroup where there is one to be had.
func (e *Executor) startIn(cmd *exec.Cmd, t *tree) error {
	group, err := e.group(e.plan.marker())
	if err == nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, group.fd()
		if err := running.start(cmd); err == nil {
			t.group = group
			return nil
		}
		// Not started, for the cgroup or for another reason: the next try says.
		group.remove()
		again := *cmd.SysProcAttr
		again.UseCgroupFD = false
		*cmd = exec.Cmd{
			Path: cmd.Path, Args: cmd.Args, Dir: cmd.Dir, Env: cmd.Env,
			Stdout: cmd.Stdout, Stderr: cmd.Stderr, ExtraFiles: cmd.ExtraFiles, SysProcAttr: &again,
		}
	}
	if err := running.start(cmd); err != nil {
		return fault.New(fault.Internal, "start", e.plan.Shell, err, "See that the shell exists and that the job's user may run it.")
	}
	return nil
}
