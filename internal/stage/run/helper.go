package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"envrole/executor"
	"envrole/executor/shell"
	"envrole/internal/renewal"
	"envrole/internal/stage"
	"envrole/roles/fault"
)

// helperLimit bounds one renewal. The helper keeps to [aws] timeout by itself,
// which is ten minutes at most.
const helperLimit = 11 * time.Minute

// helperGrace is how long a helper may take to end after SIGTERM.
const helperGrace = 5 * time.Second

// runHelper renews the session by the helper program. Nothing secret is on its
// command line. The helper inherits this stage's environment, without the job's
// own variables and without its key, which the order holds.
func runHelper(ctx context.Context, configFile string, base executor.Executor, order renewal.Order) error {
	program, err := helperProgram(base)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, helperLimit)
	defer cancel()
	stdin, err := order.Stdin()
	if err != nil {
		return fault.New(fault.Passing, "renew session", "", err, "")
	}
	defer func() { _ = stdin.Close() }()
	cmd := exec.CommandContext(ctx, program, renewal.Argument)
	cmd.Stdin = stdin
	cmd.Env = append(withoutJobVariables(os.Environ()), "ENVROLE_CONFIG="+configFile)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = helperGrace
	// The runner's signal is for the script and this stage. The helper ends with
	// what it works for: the script of a cancelled job has minutes to tidy up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out bytes.Buffer
	cmd.Stdout = &limited{&out, renewal.MaxResult}
	done, err := shell.StartSpared(cmd) // the script's end is not the helper's
	if err == nil {
		err = cmd.Wait()
		done()
	}
	// Its exit code says nothing: what it wrote does, or that it wrote nothing.
	if err != nil && out.Len() == 0 {
		return fault.New(fault.Passing, "renew session", "", fmt.Errorf("%s: %w", program, err), "")
	}
	return renewal.Read(out.Bytes())
}

// helperProgram is the helper beside this program. It gets the runner's own
// credentials, so it must be nothing that the job's user could have put there.
func helperProgram(base executor.Executor) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fault.New(fault.Internal, "find", renewal.Program, err, "")
	}
	program := filepath.Join(filepath.Dir(self), renewal.Program)
	if _, err := os.Stat(program); err != nil {
		// An upgrade may be just replacing it: not the end of a job of hours.
		return "", fault.New(fault.Passing, "find", renewal.Program, err, "Install all programs of EnvRole in one directory.")
	}
	local, ok := base.(executor.LocalUser)
	if !ok {
		return program, nil
	}
	user, other := local.JobUser()
	if !other {
		return program, nil
	}
	why, err := shell.WritableBy(program, user.UID, append([]int{user.GID}, user.Groups...))
	if err != nil {
		return "", fault.New(fault.Internal, "check who may write", program, err, "")
	}
	if why != "" {
		return "", fault.New(fault.Refused, "start", program, errors.New("the job's user could have replaced it: "+why),
			"Administrator: give the file and every directory above it to root, not writable by others.")
	}
	return program, nil
}

// withoutJobVariables leaves out what authors control, which the helper needs
// nothing of, and the job's key: for a moment, other processes of the same user
// can read a new program's environment.
func withoutJobVariables(environ []string) []string {
	var out []string
	for _, kv := range environ {
		if !strings.HasPrefix(kv, "CUSTOM_ENV_") && !strings.HasPrefix(kv, stage.EnvKey+"=") {
			out = append(out, kv)
		}
	}
	return out
}

// limited keeps the first bytes of a stream and drops the rest.
type limited struct {
	buf  *bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(l.left, len(p))
	l.buf.Write(p[:n])
	l.left -= n
	return len(p), nil
}
