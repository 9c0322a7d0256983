package shell

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"envrole/roles/fault"
)

// isolateArg is the hidden argument by which a stage, started again as process
// 1 of new namespaces, becomes a script's init: see IsolateMain.
const isolateArg = "--isolate"

// The init's files, after standard error.
const (
	initScript = 3 // the script, for the shell; or nothing
	initOrder  = 4 // what to do
	initResult = 5 // what became of it
)

// order is what the init is told. It holds what the shell gets, a session too,
// so it goes by an anonymous file, never by argument or environment.
type order struct {
	Argv   []string // of the shell; none only tries the namespaces
	Env    []string
	Dir    string
	UID    int
	GID    int
	Groups []int

	JobDir  string   // the job's own directory
	Private []string // to be hidden
	Shared  []string // to be shown in the job's own /tmp
}

// result is what the init says: at most one line of it, before it ends.
type result struct {
	Status int    // as wait4 gives it
	Error  string // the shell did not start
}

// box is a script in namespaces of its own, as the run stage sees it.
type box struct {
	order, script, write, read *os.File
	done                       chan struct{} // closed when the result is there, or the init is gone
	result                     *result       // nil if there was none; after done
}

// newBox makes what an init is started with. Close it when that has happened.
func newBox(o order, script *os.File) (*box, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("order", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make memory file for the job's init: %w", err)
	}
	b := &box{order: os.NewFile(uintptr(fd), "order"), script: script, done: make(chan struct{})}
	if _, err := b.order.Write(text); err != nil {
		b.order.Close()
		return nil, err
	}
	if b.read, b.write, err = os.Pipe(); err != nil {
		b.order.Close()
		return nil, err
	}
	if b.script == nil {
		b.script = b.order
	}
	return b, nil
}

// command is the init with the given output.
func (b *box) command(out *os.File) *exec.Cmd {
	return &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{"envrole", isolateArg}, Dir: "/", Env: []string{}, Stdout: out, Stderr: out,
		ExtraFiles: []*os.File{b.script, b.order, b.write},
		SysProcAttr: &syscall.SysProcAttr{
			Pdeathsig: syscall.SIGKILL, Setsid: true,
			Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC,
		},
	}
}

// started lets go of the init's files and waits for its result alongside.
func (b *box) started() {
	b.order.Close()
	b.write.Close()
	go func() {
		defer close(b.done)
		defer b.read.Close()
		var r result
		if err := json.NewDecoder(io.LimitReader(b.read, 4096)).Decode(&r); err == nil {
			b.result = &r
		}
	}()
}

// abandon is started for an init that did not start.
func (b *box) abandon() {
	b.order.Close()
	b.write.Close()
	b.read.Close()
}

// ended is closed when the script's shell has ended; of a nil box never.
func (b *box) ended() <-chan struct{} {
	if b == nil {
		return nil
	}
	return b.done
}

// settleTime is how long an init may take to end once its shell has: it has
// nothing more to do unless the script left processes.
const settleTime = 20 * time.Millisecond

// settle waits a moment for the init's end, which makes the usual case cheap.
func (b *box) settle(mainDone <-chan struct{}) {
	select {
	case <-mainDone:
	case <-time.After(settleTime):
	}
}

// status is how the script's shell ended; state is that of the init, or, of a
// nil box, of the shell itself.
func (b *box) status(state *os.ProcessState) (syscall.WaitStatus, error) {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok {
		return 0, errors.New("the system does not say how the shell ended")
	}
	switch {
	case b == nil:
		return status, nil
	case b.result == nil && status.Signaled():
		return status, nil // killed with all of its namespace
	case b.result == nil:
		return 0, isolationFault(fmt.Errorf("the init of the job's namespaces ended with exit code %d", status.ExitStatus()))
	case b.result.Error != "":
		return 0, isolationFault(errors.New(b.result.Error))
	}
	return syscall.WaitStatus(b.result.Status), nil //nolint:gosec // 16 bits of it are used
}

func isolationFault(err error) error {
	return fault.New(fault.Internal, "isolate the job with", "namespaces", err,
		"The runner must be root with all capabilities, on a kernel and, if it runs in a container, in one that lets it mount. "+
			"Otherwise the administrator sets isolation = \"none\" in [executor.shell].")
}

// order is what the init of a script is told.
func (p Plan) order(argv, env, shared []string) order {
	return order{
		Argv: argv, Env: env, Dir: p.tmpDir(), UID: p.UID, GID: p.GID, Groups: p.Groups,
		JobDir: p.JobDir, Private: p.hidden(), Shared: shared,
	}
}

// hidden are the places that an isolated job finds empty, where they exist.
func (p Plan) hidden() []string {
	hide := append(slices.Clone(p.Private), "/etc/envrole", "/etc/gitlab-runner", "/run/user")
	if own := os.Getenv("TMPDIR"); filepath.IsAbs(own) {
		hide = append(hide, own)
	}
	return hide
}

// tryIsolation makes the job's namespaces once, and runs nothing in them: where
// the kernel does not let them be made the job must not begin.
func (e *Executor) tryIsolation(ctx context.Context) error {
	if !e.plan.isolated() {
		return nil
	}
	b, err := newBox(e.plan.order(nil, nil, nil), nil)
	if err != nil {
		return isolationFault(err)
	}
	var said bytes.Buffer
	cmd := b.command(nil)
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		b.abandon()
		return isolationFault(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	b.started()
	waitErr := cmd.Wait()
	<-b.done
	status, err := b.status(cmd.ProcessState)
	if err != nil {
		return err
	}
	if waitErr != nil || status != 0 {
		return isolationFault(fmt.Errorf("trying it: %w (status %d) %s", waitErr, status, said.String()))
	}
	return nil
}
