package revoke

import (
	"testing"
	"time"

	"envrole/roles/lease"
)

// IAM took the policy and its answer was lost: the lease is unrevoked, and yet
// the deny is there. The next cleanup on the role must not write it away, though
// the lease is not due for another try.
func TestALostAnswersDenyIsNotWrittenAway(t *testing.T) {
	b := newBench(t)
	defer b.check()
	first, second := b.lend(roleA, time.Hour), b.lend(roleA, time.Hour)
	b.cloud.fail = func(string, string) (error, error) { return nil, errTimeout }
	if _, err := b.r.Revoke(b.ctx(), first.ID); err == nil || b.get(first.ID).State != lease.Unrevoked || !b.cloud.denied(roleA, first.SessionName) {
		t.Fatalf("the answer was not lost: %v", err)
	}
	b.cloud.fail = nil
	b.now = b.now.Add(5 * time.Second)
	rep, err := b.r.Revoke(b.ctx(), second.ID)
	if err != nil || !b.cloud.denied(roleA, second.SessionName) {
		t.Fatalf("%+v, %v", rep, err)
	}
	if !b.cloud.denied(roleA, first.SessionName) {
		t.Error("the first session's deny is gone")
	}
	if le := b.get(first.ID); le.State != lease.Denied {
		t.Errorf("the first lease is %s, though its deny was just written", le.State)
	}
}
