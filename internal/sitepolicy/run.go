package sitepolicy

// This file runs the program. It promises to run the bytes that were hashed: the
// file is opened once, and the kernel executes that open file, whatever its name
// has come to mean since.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"envrole/roles/fault"
	"envrole/roles/settings"
)

const (
	maxOutput  = 64 << 10  // of the answer, in bytes
	maxStderr  = 2 << 10   // that is kept
	maxProgram = 256 << 20 // that is hashed
	// lastWords is how long output may dribble on after the program ended or
	// was killed, held open by a child of its own.
	lastWords = time.Second
	// asProgram is where the child finds the open file: the first descriptor
	// behind the three standard ones.
	asProgram = "/proc/self/fd/3"
)

// run gives what the program printed.
func run(ctx context.Context, conf settings.Policy, stdin []byte) (stdout []byte, stderr string, err error) {
	program, err := open(conf)
	if err != nil {
		return nil, "", broken(err)
	}
	defer func() { _ = program.Close() }()
	ctx, cancel := context.WithTimeout(ctx, conf.Timeout)
	defer cancel()
	out, errs := &limited{limit: maxOutput, fail: true}, &limited{limit: maxStderr}
	cmd := exec.CommandContext(ctx, asProgram)
	cmd.Args = conf.Command
	cmd.ExtraFiles = []*os.File{program}
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"}
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), out, errs
	// A group of its own, so that its children end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = lastWords
	err = cmd.Run()
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left behind in its group
	}
	switch {
	case ctx.Err() != nil:
		return nil, errs.kept.String(), fault.New(fault.Passing, opAsk, "", fmt.Errorf("no answer within %s", conf.Timeout),
			"No role is lent without its answer. If it stays so, the runner's administrator looks after the program of [policy] command.")
	case errors.Is(err, exec.ErrWaitDelay):
		return nil, errs.kept.String(), broken(fmt.Errorf("%s ended, but a process that it started keeps its output open", conf.Command[0]))
	case err != nil:
		return nil, errs.kept.String(), broken(fmt.Errorf("%s: %w", conf.Command[0], err))
	}
	return out.kept.Bytes(), errs.kept.String(), nil
}

// open gives the pinned program, open and hashed.
func open(conf settings.Policy) (*os.File, error) {
	f, err := settings.OpenTrusted(conf.Command[0])
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, maxProgram+1))
	sum := hex.EncodeToString(h.Sum(nil))
	switch {
	case err != nil:
	case n > maxProgram:
		err = fmt.Errorf("%s is larger than %d MiB", conf.Command[0], maxProgram>>20)
	case subtle.ConstantTimeCompare([]byte(sum), []byte(conf.SHA256)) != 1:
		err = fmt.Errorf("%s has the digest %s, not the one in [policy] sha256", conf.Command[0], sum)
	default:
		return f, nil
	}
	return nil, errors.Join(err, f.Close())
}

// limited keeps the first bytes of what is written. With fail, more is an error.
// The buffer is a field: embedded, its ReadFrom would pass the limit by.
type limited struct {
	kept  bytes.Buffer
	limit int
	fail  bool
}

func (l *limited) Write(p []byte) (int, error) {
	room := l.limit - l.kept.Len()
	if len(p) <= room {
		return l.kept.Write(p)
	}
	if l.fail {
		return 0, fmt.Errorf("more than %d bytes of output", l.limit)
	}
	_, _ = l.kept.Write(p[:room])
	return len(p), nil
}
