package shell

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A job leaves a set-user-id program, an accomplice keeps it open while the
// user is cleaned and goes to a victim, and then runs it as that user.
func TestASetUserIDFileThatAnotherJobKeptOpenGivesNothing(t *testing.T) {
	pool, job := newPool(t, 2)
	gate := t.TempDir() + "/gate"
	if err := os.Chmod(filepath.Dir(filepath.Dir(gate)), 0o755); err != nil {
		t.Fatal(err)
	}
	author := startJob(t, job, pool)
	accomplice := startJob(t, numbered(job, 1), pool)
	program := filepath.Join(author.JobDir, "program")
	mustRun(t, author, `cp "$(command -v bash)" `+program+"\nchmod 4755 "+program+"\nchmod 755 "+author.JobDir)

	out := &watcher{word: "opened\n"}
	opened := make(chan struct{})
	out.call = func() {
		if out.word != "" {
			out.word = "\x00"
			close(opened)
		}
	}
	done := make(chan error, 1)
	go func() {
		done <- New(accomplice).Run(t.Context(), script(t, "exec 9<"+program+"\necho opened\nuntil [ -e "+gate+" ]; do sleep 0.01; done\n"+
			"/proc/self/fd/9 -p -c 'echo it is $EUID'"), nil, out)
	}()
	select {
	case <-opened:
	case err := <-done:
		t.Fatalf("%v\n%s", err, out.String())
	}
	if err := New(author).Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
		t.Error(err)
	}
	mustTake(t, numbered(job, 2), pool, author.User) // the victim
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || !strings.Contains(out.String(), "it is "+itoa(accomplice.UID)+"\n") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// The runner's service may have a session keyring with something in it.
func TestAJobOfAnotherUserHasASessionKeyringOfItsOwn(t *testing.T) {
	needRoot(t)
	for _, p := range []Plan{newUserPlan(t), leasedAndStarted(t)} {
		stage := helperCommand(t, "run", p, "SHELL_TEST_SCRIPT="+script(t, helperVariable+"=key SHELL_TEST_PLAN={} SHELL_TEST_RING=-3 "+spyProgram(t)).Path)
		var out []byte
		err := withSessionKey(func() (err error) {
			out, err = stage.Output()
			return err
		})
		if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
			missing(t, "session keyrings: "+err.Error())
		}
		if err != nil || string(out) != "key: -1 required key not available\n" {
			t.Errorf("%v, the job finds the runner's key: %s", err, out)
		}
	}
}

// withSessionKey calls f on a thread whose session keyring holds a key.
func withSessionKey(f func() error) error {
	done := make(chan error, 1)
	go onOwnThread(func() {
		_, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
		if err == nil {
			_, err = unix.AddKey("user", "envrole-test", []byte("of the runner"), -3) // KEY_SPEC_SESSION_KEYRING
		}
		if err == nil {
			err = f()
		}
		done <- err
	})
	return <-done
}

func TestALeasedJobDumpsNoCoreAndGainsNoRights(t *testing.T) {
	out := mustRun(t, leasedAndStarted(t), "tr -s ' ' < /proc/$$/limits | grep core; grep NoNewPrivs /proc/self/status")
	if out != "Max core file size 1 1 bytes \nNoNewPrivs:\t1\n" {
		t.Errorf("%q", out)
	}
	// The stage itself keeps its rights: it cleans up with them. The thread that
	// gave them up ends after its script, so it may be seen once more.
	for _, path := range tasks(t) {
		eventually(t, "the thread that gave up its rights ends: "+path, func() bool {
			b, err := os.ReadFile(path)
			return err != nil || !strings.Contains(string(b), "NoNewPrivs:\t1")
		})
	}
}

func leasedAndStarted(t *testing.T) Plan {
	t.Helper()
	pool, job := newPool(t, 1)
	return startJob(t, job, pool)
}

func tasks(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	return paths
}
