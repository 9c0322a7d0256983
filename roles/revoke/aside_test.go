package revoke

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"envrole/roles/lease"
)

// takesNoMore puts a symbolic link, which is never followed, in a lock's place:
// locking then fails, for root too.
func takesNoMore(t *testing.T, file string) (mend func()) {
	t.Helper()
	if err := os.RemoveAll(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nonexistent", file); err != nil {
		t.Fatal(err)
	}
	return func() { _ = os.Remove(file) }
}

// What the ledger could not record is denied all the same, and not undone by
// the next commit, which knows nothing of it.
func TestADenyThatCouldNotBeRecordedOutlivesTheNextCommit(t *testing.T) {
	b := newBench(t)
	lost, other := b.lend(roleA, time.Hour), b.lend(roleA, time.Hour)
	mend := takesNoMore(t, filepath.Join(b.l.Dir(), "locks", lost.ID+".lock"))
	rep, err := b.r.Revoke(b.ctx(), lost.ID)
	if it, _ := rep.Of(lost.ID); err == nil || it.Outcome != Denied || it.Err == nil {
		t.Errorf("%+v, %v", rep.Items, err)
	}
	if le := b.get(lost.ID); le.State != lease.Lent || !b.cloud.denied(roleA, lost.SessionName) {
		t.Errorf("%s, denied %v", le.State, b.cloud.denied(roleA, lost.SessionName))
	}
	if _, err := b.r.Revoke(b.ctx(), other.ID); err != nil {
		t.Fatal(err)
	}
	if !b.cloud.denied(roleA, lost.SessionName) || !b.cloud.denied(roleA, other.SessionName) {
		t.Error("the next commit undid a deny")
	}
	mend()
	if _, err := b.r.Revoke(b.ctx(), lost.ID); err != nil || b.get(lost.ID).State != lease.Denied {
		t.Errorf("mended: %v", err)
	}
	b.now = b.now.Add(4 * time.Hour)
	if _, err := b.r.Sweep(b.ctx(), SweepOptions{All: true}); err != nil || len(b.cloud.policies[roleA]) != 0 {
		t.Errorf("policies left in the end: %v, %v", b.cloud.policies[roleA], err)
	}
}

func TestARoleThatCannotBeLockedIsDeniedOnAllTheSame(t *testing.T) {
	b := newBench(t)
	first, second := b.lend(roleA, time.Hour), b.lend(roleA, time.Hour)
	if _, err := b.r.Revoke(b.ctx(), first.ID); err != nil {
		t.Fatal(err)
	}
	locks, _ := filepath.Glob(filepath.Join(b.l.Dir(), "roles", "*.lock"))
	if len(locks) != 1 {
		t.Fatalf("locks: %v", locks)
	}
	takesNoMore(t, locks[0])
	puts := len(b.cloud.policies[roleA])
	b.gone[second.Owner.PID] = true
	for range 3 {
		if _, err := b.r.Sweep(b.ctx(), SweepOptions{}); err == nil || len(b.cloud.policies[roleA]) != puts {
			t.Errorf("a sweep, which comes again and again, wrote policies of its own: %v", err)
		}
	}
	if _, err := b.r.Revoke(b.ctx(), second.ID); err == nil {
		t.Error("no error")
	}
	if !b.cloud.denied(roleA, first.SessionName) || !b.cloud.denied(roleA, second.SessionName) {
		t.Error("a session is not denied")
	}
}
