package lease

import (
	"bufio"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestProcessesDoNotLoseEachOthersChanges(t *testing.T) {
	l := open(t)
	le := create(t, l)
	const processes, goroutines, times = 5, 5, 20
	var wg sync.WaitGroup
	for range processes {
		cmd := child(t, "count", l.dir, le.ID, strconv.Itoa(times))
		wg.Go(func() {
			if err := cmd.Run(); err != nil {
				t.Error(err)
			}
		})
	}
	for range goroutines {
		wg.Go(func() {
			for range times {
				if _, err := l.Update(t.Context(), le.ID, func(le *Lease) error { le.Attempts++; return nil }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got, err := l.Get(le.ID)
	if want := (processes + goroutines) * times; err != nil || got.Attempts != want {
		t.Errorf("%d changes arrived of %d (%v)", got.Attempts, want, err)
	}
}

// A lease whose Create returned is there with what was promised, at whatever
// instant the process is killed, and nothing else is harmed.
func TestKilledWritersLoseNoLease(t *testing.T) {
	l := open(t)
	promised := map[string]State{}
	for range 25 {
		cmd := child(t, "churn", l.dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		after := rand.IntN(12)
		for n := 0; lines.Scan(); n++ {
			state, id, _ := strings.Cut(lines.Text(), " ")
			promised[id] = State(state)
			if n == after {
				// Somewhere in the middle of the next write.
				time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait()
	}
	all, damaged, err := l.List(t.Context())
	if err != nil || len(damaged) != 0 {
		t.Errorf("damaged after kills: %+v, %v", damaged, err)
	}
	states := map[string]State{}
	for _, le := range all {
		states[le.ID] = le.State
	}
	for id, want := range promised {
		if got := states[id]; got != want && (want != Asked || got != Lent) {
			t.Errorf("lease %s: %q on disk, %q was promised", id, got, want)
		}
	}
	// Locks of the dead are free.
	for _, le := range all {
		if _, err := l.Update(t.Context(), le.ID, func(le *Lease) error { le.State = Closing; return nil }); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d leases promised, %d found", len(promised), len(all))
}

func TestCleanRemovesOnlyWhatBelongsToNothing(t *testing.T) {
	l := open(t)
	le := create(t, l)
	old := create(t, l)
	orphan, newer := sample().ID, sample().ID
	for _, id := range []string{le.ID, old.ID, orphan, newer} {
		if err := l.WriteSealed(id, []byte("blob"), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(l.record(newer), []byte(`{"version": 99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	now := old.Deadline // the later one: a second may be between them
	if _, err := l.Update(t.Context(), le.ID, func(le *Lease) error { le.Deadline = now.Add(time.Minute); return nil }); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-2 * time.Hour)
	touch := func(dir, name string, at time.Time) {
		p := l.path(dir, name)
		if _, err := os.Stat(p); err != nil {
			if err := os.WriteFile(p, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(p, at, at); err != nil {
			t.Fatal(err)
		}
	}
	touch(leasesDir, tempPrefix+"old", long)
	touch(sealedDir, tempPrefix+"old", long)
	touch(leasesDir, tempPrefix+"new", time.Now())
	touch(locksDir, orphan+".lock", long)
	touch(locksDir, le.ID+".lock", long)
	touch(locksDir, sample().ID+".hold", time.Now())

	got, err := l.Clean(t.Context(), now.Add(time.Second))
	if want := (Cleaned{Temp: 2, Sealed: 2, Locks: 1}); err != nil || got != want {
		t.Errorf("clean = %+v, %v; want %+v", got, err, want)
	}
	for _, p := range []string{l.path(sealedDir, le.ID), l.path(sealedDir, newer), l.record(le.ID), l.record(old.ID), l.lockOf(le.ID), l.path(leasesDir, tempPrefix+"new")} {
		if _, err := os.Stat(p); err != nil {
			t.Errorf("clean took %s", filepath.Base(p))
		}
	}
}
