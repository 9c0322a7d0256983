package lease

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"envrole/roles/fault"
)

func TestALeaseIsReadAsItWasWritten(t *testing.T) {
	l := open(t)
	want := create(t, l)
	if want.Version != Version || want.Owner.Writer == "" || !want.ExpiresAt.After(want.AskedAt) {
		t.Errorf("created lease: %+v", want)
	}
	all, damaged, err := l.List(t.Context())
	if err != nil || len(damaged) != 0 || len(all) != 1 || all[0] != want {
		t.Errorf("list = %+v, %+v, %v; want only %+v", all, damaged, err, want)
	}
	if info, err := os.Stat(l.record(want.ID)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("record: %v, %v; want mode 0600", info, err)
	}
}

func TestAnIdIsUsedOnce(t *testing.T) {
	l := open(t)
	le := create(t, l)
	le.State = Asked
	if err := l.Create(t.Context(), le); !errors.Is(err, ErrExists) {
		t.Errorf("second create = %v, want ErrExists", err)
	}
}

func TestAHalfMadeLeaseIsNotCreated(t *testing.T) {
	l := open(t)
	for name, spoil := range map[string]func(*Lease){
		"state lent":       func(le *Lease) { le.State = Lent },
		"no role":          func(le *Lease) { le.RoleARN = "" },
		"no session name":  func(le *Lease) { le.SessionName = "" },
		"no expiry":        func(le *Lease) { le.ExpiresAt = time.Time{} },
		"expired on birth": func(le *Lease) { le.ExpiresAt = le.AskedAt },
		"no deadline":      func(le *Lease) { le.Deadline = time.Time{} },
		"endless text":     func(le *Lease) { le.JobURL = strings.Repeat("x", maxRecord) },
	} {
		le := sample()
		spoil(&le)
		if err := l.Create(t.Context(), le); err == nil {
			t.Errorf("%s: created", name)
		}
	}
}

func TestHostileIdsNeverReachThePath(t *testing.T) {
	l := open(t)
	id := create(t, l).ID
	for _, bad := range []string{
		"", ".", "..", "../" + id, id + "/..", id + "\x00", id[:25], id + "a", strings.ToUpper(id), "/etc/passwd",
		strings.Repeat("../", 8) + "aa", id[:25] + "1", id[:25] + "\n", "%2e%2e%2f" + id[:17],
	} {
		if ValidID(bad) {
			t.Errorf("ValidID(%q)", bad)
		}
		le := sample()
		le.ID = bad
		_, holdErr := l.Hold(bad)
		_, getErr := l.Get(bad)
		_, readErr := l.ReadSealed(bad)
		_, updateErr := l.Update(t.Context(), bad, func(*Lease) error { return nil })
		_, expireErr := l.Expire(t.Context(), bad, func(Lease) error { return nil })
		for op, err := range map[string]error{
			"create": l.Create(t.Context(), le), "hold": holdErr, "get": getErr, "update": updateErr, "expire": expireErr,
			"read sealed": readErr, "write sealed": l.WriteSealed(bad, []byte("x"), time.Time{}), "remove sealed": l.RemoveSealed(bad),
		} {
			if err == nil {
				t.Errorf("%s %q succeeded", op, bad)
			} else if bad != "" && len(bad) > 2 && strings.Contains(err.Error(), bad) {
				t.Errorf("%s: the error repeats the id: %v", op, err)
			}
		}
	}
}

func TestALeaseOnlyMovesTowardsItsEnd(t *testing.T) {
	forward := map[State][]State{
		Asked: {Lent, Closing}, Lent: {Closing}, Closing: {Denied, Unrevoked}, Unrevoked: {Denied}, Denied: {},
	}
	for from, next := range forward {
		ok := map[State]bool{from: true}
		for _, s := range next {
			ok[s] = true
		}
		for to := range forward {
			was := sample()
			was.State = from
			is := was
			is.State = to
			if err := checkChange(was, is); (err == nil) != ok[to] {
				t.Errorf("%s to %s: %v", from, to, err)
			}
		}
	}
}

func TestWhatMakesUpASessionNeverChanges(t *testing.T) {
	for name, change := range map[string]func(*Lease){
		"id":              func(le *Lease) { le.ID = sample().ID },
		"role":            func(le *Lease) { le.RoleARN += "x" },
		"session name":    func(le *Lease) { le.SessionName = "*" },
		"job":             func(le *Lease) { le.JobID++ },
		"revoke":          func(le *Lease) { le.Revoke = "local" },
		"owner":           func(le *Lease) { le.Owner.PID++ },
		"earlier expiry":  func(le *Lease) { le.ExpiresAt = le.ExpiresAt.Add(-time.Second) },
		"earlier end":     func(le *Lease) { le.Deadline = le.Deadline.Add(-time.Second) },
		"version":         func(le *Lease) { le.Version++ },
		"unknown state":   func(le *Lease) { le.State = "forgiven" },
		"time of asking":  func(le *Lease) { le.AskedAt = le.AskedAt.Add(time.Hour) },
		"caller gives up": nil,
	} {
		l := open(t)
		want := create(t, l)
		_, err := l.Update(t.Context(), want.ID, func(le *Lease) error {
			if change == nil {
				return errors.New("no")
			}
			change(le)
			return nil
		})
		if err == nil || change != nil && !errors.Is(err, ErrTransition) {
			t.Errorf("%s: update = %v", name, err)
		}
		if got, err := l.Get(want.ID); err != nil || got != want {
			t.Errorf("%s: the lease became %+v, %v", name, got, err)
		}
	}
}

func TestTheExpiryOfADeniedLeaseIsFixed(t *testing.T) {
	was := sample()
	was.State, was.Writer, was.Window = Denied, "w", "2026112221"
	for name, change := range map[string]func(*Lease){
		"expiry": func(le *Lease) { le.ExpiresAt = le.ExpiresAt.Add(time.Hour) },
		"writer": func(le *Lease) { le.Writer = "" },
		"window": func(le *Lease) { le.Window = "2026112222" },
	} {
		is := was
		change(&is)
		if err := checkChange(was, is); !errors.Is(err, ErrTransition) {
			t.Errorf("%s changed behind the deny: %v", name, err)
		}
	}
}

func TestDamagedRecordsAreReportedAndKept(t *testing.T) {
	l := open(t)
	good := create(t, l)
	b, err := os.ReadFile(l.record(good.ID))
	if err != nil {
		t.Fatal(err)
	}
	write := func(spoil func(string) string) string {
		id := sample().ID
		text := spoil(strings.ReplaceAll(string(b), good.ID, id))
		if err := os.WriteFile(l.record(id), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return id
	}
	ids := map[string]string{
		"empty":         write(func(string) string { return "" }),
		"truncated":     write(func(s string) string { return s[:len(s)/2] }),
		"zeros":         write(func(s string) string { return strings.Repeat("\x00", len(s)) }),
		"newer":         write(func(s string) string { return strings.Replace(s, `"version": 1`, `"version": 2, "more": {}`, 1) }),
		"no version":    write(func(s string) string { return strings.Replace(s, `"version": 1`, `"version": 0`, 1) }),
		"unknown field": write(func(s string) string { return strings.Replace(s, `{`, `{"more": 1,`, 1) }),
		"other id":      write(func(string) string { return string(b) }),
		"bad state":     write(func(s string) string { return strings.Replace(s, `"asked"`, `"fine"`, 1) }),
		"two records":   write(func(s string) string { return s + s }),
		"huge":          write(func(s string) string { return s + strings.Repeat(" ", maxRecord) }),
	}
	link := sample().ID
	if err := os.Symlink(l.record(good.ID), l.record(link)); err != nil {
		t.Fatal(err)
	}
	fifo := sample().ID
	if err := unix.Mkfifo(l.record(fifo), 0o600); err != nil {
		t.Fatal(err)
	}
	ids["link"], ids["fifo"] = link, fifo
	stray := filepath.Join(l.dir, leasesDir, "notes.txt")
	if err := os.WriteFile(stray, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	all, damaged, err := l.List(t.Context())
	if err != nil || len(all) != 1 || all[0] != good {
		t.Errorf("list = %+v, %v; want the good lease alone", all, err)
	}
	if len(damaged) != len(ids)+1 {
		t.Errorf("%d damaged, want %d: %+v", len(damaged), len(ids)+1, damaged)
	}
	for _, d := range damaged {
		if d.Newer != (d.ID == ids["newer"]) || d.Err == nil {
			t.Errorf("damaged %+v", d)
		}
	}
	for name, id := range ids {
		if _, err := l.Get(id); err == nil {
			t.Errorf("%s: read", name)
		}
		if _, err := l.Update(t.Context(), id, func(*Lease) error { return nil }); err == nil {
			t.Errorf("%s: updated", name)
		}
		if _, err := l.Expire(t.Context(), id, func(Lease) error { return nil }); err == nil {
			t.Errorf("%s: expired", name)
		}
	}
	if _, err := l.Get(ids["newer"]); !errors.Is(err, ErrNewer) {
		t.Errorf("newer: %v", err)
	}
	if _, err := l.Clean(t.Context(), time.Now().Add(1000*time.Hour)); err != nil {
		t.Error(err)
	}
	if _, again, err := l.List(t.Context()); err != nil || len(again) != len(damaged) {
		t.Errorf("after all this %d damaged files are left of %d (%v)", len(again), len(damaged), err)
	}
}

func TestExpireAsksFirstAndLeavesNothing(t *testing.T) {
	l := open(t)
	le := create(t, l)
	if err := l.WriteSealed(le.ID, []byte("blob"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	release, err := l.Hold(le.ID)
	if err != nil {
		t.Fatal(err)
	}
	release()
	no := errors.New("not yet")
	if _, err := l.Expire(t.Context(), le.ID, func(Lease) error { return no }); !errors.Is(err, no) {
		t.Errorf("expire = %v, want the judge's word", err)
	}
	last, err := l.Expire(t.Context(), le.ID, func(Lease) error { return nil })
	if err != nil || last != le {
		t.Errorf("expire = %+v, %v; want the last record", last, err)
	}
	if _, err := l.Get(le.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("get = %v, want ErrNotFound", err)
	}
	err = filepath.WalkDir(l.dir, func(path string, _ os.DirEntry, err error) error {
		if strings.Contains(path, le.ID) {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWaitingForALockEndsWithTheContext(t *testing.T) {
	l := open(t)
	le := create(t, l)
	f, err := lock(t.Context(), l.lockOf(le.ID), unix.LOCK_EX)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err = l.Update(ctx, le.ID, func(*Lease) error { return nil })
	if !errors.Is(err, context.DeadlineExceeded) || fault.ClassOf(err) != fault.Passing {
		t.Errorf("update of a locked lease = %v, want a passing deadline error", err)
	}
}
