package lease

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestAWatchSeesEveryChange(t *testing.T) {
	l := open(t)
	le := create(t, l)
	w := l.Watch(le.ID)
	defer w.Close()
	same := func(when string) {
		t.Helper()
		want, wantErr := l.Get(le.ID)
		for range 2 {
			got, err := w.Get()
			if got != want || errors.Is(err, ErrNotFound) != errors.Is(wantErr, ErrNotFound) || errors.Is(err, ErrDamaged) != errors.Is(wantErr, ErrDamaged) || (err == nil) != (wantErr == nil) {
				t.Errorf("%s: %+v %v, want %+v %v", when, got, err, want, wantErr)
			}
		}
	}
	same("asked")
	for _, s := range []State{Lent, Closing} {
		if _, err := l.Update(t.Context(), le.ID, func(le *Lease) error { le.State = s; return nil }); err != nil {
			t.Fatal(err)
		}
		same(string(s))
	}
	whole, err := os.ReadFile(l.record(le.ID))
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(l.record(le.ID), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Replace(string(whole), `"closing"`, `"no such"`, 1)) // as long as before
	same("damaged")
	write(string(whole))
	same("mended")
	write(string(whole) + strings.Repeat(" ", maxRecord))
	same("huge")
	if err := os.Remove(l.record(le.ID)); err != nil {
		t.Fatal(err)
	}
	same("removed")
	if err := os.Symlink("/dev/null", l.record(le.ID)); err != nil {
		t.Fatal(err)
	}
	same("a link")
	if _, err := l.Watch("../../x").Get(); err == nil {
		t.Error("a hostile id is read")
	}
}

// sleeper is a process that ends when its input does.
func sleeper(t *testing.T) (*exec.Cmd, io.Closer, Owner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	st, err := readStat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	h := ThisHost()
	return cmd, in, Owner{BootID: h.BootID, PIDNamespace: h.PIDNamespace, PID: cmd.Process.Pid, StartTime: st.start}
}

func TestAWatchKnowsWhetherTheOwnerEnded(t *testing.T) {
	l := open(t)
	for _, reaped := range []bool{false, true} {
		cmd, in, owner := sleeper(t)
		le := Lease{Owner: owner}
		w := l.Watch("")
		defer w.Close()
		for range 3 {
			if w.OwnerGone(le) {
				t.Error("it lives")
			}
		}
		if w.pidfd < 0 {
			t.Error("there is no descriptor: this tests nothing")
		}
		other := le
		other.Owner.StartTime++
		if !w.OwnerGone(other) {
			t.Error("a process of an earlier time with that pid counts as alive")
		}
		if w.OwnerGone(le) {
			t.Error("it still lives")
		}
		_ = in.Close()
		if reaped {
			_ = cmd.Wait()
		}
		for !l.OwnerGone(le) { // until it is a zombie, or at once
		}
		for range 2 {
			if !w.OwnerGone(le) {
				t.Errorf("it has ended (reaped: %t)", reaped)
			}
		}
		w.Close()
		if !w.OwnerGone(le) {
			t.Error("after Close nothing is known")
		}
	}
}

// Where the kernel gives no descriptors, or nothing is known of the owner.
func TestAWatchWithoutADescriptorAsksEachTime(t *testing.T) {
	asked := 0
	h := Host{BootID: "b", PIDNamespace: "p", Gone: func(int, uint64) bool { asked++; return asked > 2 }}
	for _, h.Open = range []func(int) (int, error){nil, func(int) (int, error) { return -1, errors.New("ENOSYS") }} {
		asked = 0
		w := (&Ledger{host: h}).Watch("")
		le := Lease{Owner: Owner{BootID: "b", PIDNamespace: "p", PID: 7}}
		for look, want := range []bool{false, false, true} {
			if w.OwnerGone(le) != want {
				t.Errorf("look %d: it ends with the third", look)
			}
		}
		le.Owner.BootID = "another"
		if w.OwnerGone(le) || asked != 3 {
			t.Error("of another boot nothing is known")
		}
	}
}
