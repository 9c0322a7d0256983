package shell

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// IsolateMain is called first in main of each program that prepares or runs
// jobs, with os.Args. If the program was started as the init of a job's
// namespaces it does that work and returns its exit code and true: main then
// ends with it.
//
// The init is root and process 1 of the job's pid namespace. It makes the job's
// view of the host, starts the job's shell as the job's user, and waits for
// every process of the namespace. When it ends, for whatever reason, the kernel
// kills what is left there; it is itself killed when the run stage dies.
func IsolateMain(args []string) (code int, mine bool) {
	if len(args) != 2 || args[1] != isolateArg {
		return 0, false
	}
	// It must never change the mounts of the host it was called on.
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "envrole: "+isolateArg+" is not for people")
		return 64, true
	}
	// What becomes of the shell is bound to this thread: its namespaces, and
	// that no program gives it more rights.
	runtime.LockOSThread()
	// Of process 1 the kernel drops signals it does not handle. Handled, not
	// ignored: the shell would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2)
	unix.CloseOnExec(initOrder)
	unix.CloseOnExec(initResult)
	out := os.NewFile(initResult, "result")
	err := isolate(out)
	if err != nil {
		_ = json.NewEncoder(out).Encode(result{Error: err.Error()})
		return 1, true
	}
	return 0, true
}

func isolate(out io.Writer) error {
	in := os.NewFile(initOrder, "order")
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	var o order
	if err := json.NewDecoder(in).Decode(&o); err != nil {
		return errors.New("read order: it is not what the stage wrote")
	}
	in.Close()
	if o.UID <= 0 || o.GID < 0 {
		return fmt.Errorf("start the shell as uid %d", o.UID)
	}
	if err := o.mountView(); err != nil {
		return err
	}
	if len(o.Argv) == 0 {
		return json.NewEncoder(out).Encode(result{})
	}
	pid, err := o.start()
	if err != nil {
		return err
	}
	return reapAll(pid, out)
}

// start starts the shell: as the job's user, in a session of its own, with a
// session keyring of its own, and unable to gain rights by any program.
func (o order) start() (pid int, err error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("give up new privileges: %w", err)
	}
	joinOwnKeyring()
	p := Plan{UID: o.UID, GID: o.GID, Groups: o.Groups}
	pid, err = syscall.ForkExec(o.Argv[0], o.Argv, &syscall.ProcAttr{
		Dir: o.Dir, Env: o.Env, Files: []uintptr{0, 1, 2, initScript},
		Sys: &syscall.SysProcAttr{Credential: p.credential(), Setsid: true},
	})
	if err != nil {
		return 0, fmt.Errorf("start %s as uid %d: %w", o.Argv[0], o.UID, err)
	}
	_ = unix.Close(initScript)
	return pid, nil
}

// reapAll waits for every process of the namespace, and says how the shell
// ended as soon as it has: what it left is for the run stage to end.
func reapAll(shell int, out io.Writer) error {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ECHILD):
			return nil
		case err != nil:
			return fmt.Errorf("wait for the job's processes: %w", err)
		case pid == shell:
			if err := json.NewEncoder(out).Encode(result{Status: int(status)}); err != nil {
				return err
			}
		}
	}
}
