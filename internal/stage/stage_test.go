package stage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"envrole/executor/job"
	"envrole/roles/fault"
)

func TestOneFunctionTurnsErrorsIntoExitCodes(t *testing.T) {
	runner := job.StageEnv{BuildFailure: 11, SystemFailure: 22}
	for _, tc := range []struct {
		err  error
		code int
	}{
		{nil, 0},
		{errors.New("unclassified"), 22},
		{fault.New(fault.Refused, "x", "", nil, ""), 11},
		{fault.New(fault.Permanent, "x", "", nil, ""), 11},
		{fault.New(fault.Passing, "x", "", nil, ""), 22},
		{fault.New(fault.Internal, "x", "", nil, ""), 22},
		{fmt.Errorf("wrapped: %w", fault.New(fault.Refused, "x", "", nil, "")), 11},
		{&ScriptFailure{Code: 42}, 11},
		{fmt.Errorf("wrapped: %w", &ScriptFailure{Code: 42}), 11},
	} {
		if got := ExitCode(tc.err, runner); got != tc.code {
			t.Errorf("%v: code %d, want %d", tc.err, got, tc.code)
		}
	}
}

// A cancelled job is nobody's failure, and its log must not name one; what went
// wrong besides is still said.
func TestAStageThatTheRunnerEndsHasNotFailed(t *testing.T) {
	for _, tc := range []struct {
		err  func(cause error) error
		want string
	}{
		{func(cause error) error { return fmt.Errorf("run x: %w", cause) }, "envrole: stopped by the runner: run x: terminated signal received\n"},
		{func(cause error) error {
			return fault.New(fault.Internal, "end processes of", "x", errors.Join(errors.New("one is left"), cause), "")
		}, "envrole: failed: end processes of x: one is left\n  terminated signal received\n"},
		{func(cause error) error {
			return errors.Join(fmt.Errorf("run x: %w", cause), errors.New("the disk is full"))
		}, "envrole: failed: run x: terminated signal received\n  the disk is full\n"},
		{func(cause error) error { return fault.New(fault.Internal, "free", "x", cause, "") }, "envrole: failed: free x: terminated signal received\n"},
		{func(error) error { return errors.New("run x: the disk is full") }, "envrole: failed: run x: the disk is full\n"},
	} {
		ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
		if err := unix.Kill(os.Getpid(), unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		<-ctx.Done()
		var out bytes.Buffer
		explainEnd(&out, tc.err(context.Cause(ctx)), context.Cause(ctx))
		stop()
		if out.String() != tc.want {
			t.Errorf("got %q, want %q", out.String(), tc.want)
		}
	}
}

func TestWhatIsPrintedCannotMoveTheCursor(t *testing.T) {
	var out bytes.Buffer
	Explain(&out, fault.New(fault.Refused, "read name", "", errors.New("a\x1b[2Jb\rc\u202ed\u0085e"), "do\nthis\x1b]0;x\a"))
	for _, bad := range []string{"\x1b", "\r", "\u202e", "\u0085", "\a"} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("%q comes through: %q", bad, out.String())
		}
	}
	want := "envrole: refused: read name: a\uFFFD[2Jb\uFFFDc\uFFFDd\uFFFDe\n  do\n  this\uFFFD]0;x\uFFFD\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// A line break in a name must not start a line that looks like EnvRole's own.
func TestALineBreakInANameFakesNoLine(t *testing.T) {
	var out bytes.Buffer
	Say(&out, "no role: %s", "x\nenvrole: environment \"production\", proven")
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("got %q", out.String())
	}
}

func TestReadHandedWantsTheConfigStage(t *testing.T) {
	for _, name := range []string{EnvLease, EnvKey, EnvState, EnvOwner} {
		t.Setenv(name, "")
	}
	_, err := ReadHanded()
	if fault.ClassOf(err) != fault.Permanent || !strings.Contains(fault.HelpOf(err), "config_exec") {
		t.Errorf("got %v", err)
	}
	t.Setenv(EnvLease, "../../etc/passwd")
	t.Setenv(EnvKey, "c2VjcmV0LWtleS10aGF0LWlzLW5vdC0zMi1ieXRlcw")
	t.Setenv(EnvState, "/var/lib/envrole")
	if _, err = ReadHanded(); err == nil || strings.Contains(err.Error(), "etc/passwd") {
		t.Errorf("a path as lease id: %v", err)
	}
	t.Setenv(EnvLease, "aaaaaaaaaaaaaaaaaaaaaaaaaa")
	if _, err = ReadHanded(); err == nil || strings.Contains(err.Error(), "c2VjcmV0") {
		t.Errorf("a bad key: %v", err)
	}
}

// A core dump, or another process of the same user, must not show the job key
// and the session. What the stage starts is not concerned.
func TestTheMemoryOfAStageIsClosed(t *testing.T) {
	t.Cleanup(func() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) })
	t.Setenv("BUILD_FAILURE_EXIT_CODE", "1")
	t.Setenv("SYSTEM_FAILURE_EXIT_CODE", "2")
	dumpable := -1
	var child []byte
	code := Main(Stage{Name: "envrole-test", Run: func(ctx context.Context, _ Call) (err error) {
		if dumpable, err = unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil {
			return err
		}
		// The owner of a process's files under /proc is root unless it is dumpable.
		child, err = exec.CommandContext(ctx, "sh", "-c", "cat /proc/$$/environ >/dev/null && stat -c %u /proc/$$/environ").Output()
		return err
	}}, nil)
	if code != 0 || dumpable != 0 {
		t.Errorf("exit code %d, dumpable %d", code, dumpable)
	}
	if got := strings.TrimSpace(string(child)); got != strconv.Itoa(os.Getuid()) {
		t.Errorf("the environment of a child belongs to %q", got)
	}
}
