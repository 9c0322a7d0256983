package revoke

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"envrole/roles/lease"
)

func TestASweepEndsOnlyJobsThatAreGone(t *testing.T) {
	b := newBench(t)
	defer b.check()
	living, dead := b.lend(roleA, time.Hour), b.lend(roleA, time.Hour)
	b.gone[dead.Owner.PID] = true
	foreign := b.fresh(roleA, time.Hour)
	foreign.Owner.BootID = "another"
	b.create(foreign)
	rep, err := b.r.Sweep(b.ctx(), SweepOptions{})
	if err != nil || rep.Count(Denied) != 1 || !b.cloud.denied(roleA, dead.SessionName) {
		t.Errorf("%+v, %v", rep, err)
	}
	if it, _ := rep.Of(dead.ID); it.Why == "" {
		t.Errorf("no reason: %+v", it)
	}
	for _, le := range []lease.Lease{living, foreign} {
		if b.cloud.denied(roleA, le.SessionName) || b.get(le.ID).State == lease.Closing {
			t.Errorf("%s was swept", le.ID)
		}
	}
	b.update(foreign.ID, func(le *lease.Lease) { le.ExpiresAt = le.ExpiresAt.Add(12 * time.Hour) })
	b.now = b.now.Add(4*time.Hour + time.Second) // past the deadlines
	if rep, err := b.r.Sweep(b.ctx(), SweepOptions{}); err != nil || !b.cloud.denied(roleA, foreign.SessionName) {
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestADenyIsForgottenAfterExpiryAndMarginByBothClocks(t *testing.T) {
	for name, skew := range map[string]time.Duration{"slow": -10 * time.Minute, "right": 0, "fast": 10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			defer b.check()
			b.skew = skew
			le := b.lend(roleA, time.Hour)
			if _, err := b.r.Revoke(b.ctx(), le.ID); err != nil {
				t.Fatal(err)
			}
			end := le.ExpiresAt.Add(Margin) // by whichever clock is later
			for b.now.Before(end) || b.local().Before(end) {
				rep, err := b.r.Sweep(b.ctx(), SweepOptions{All: true})
				if err != nil || rep.Count(Expired) != 0 || !b.cloud.denied(roleA, le.SessionName) {
					t.Fatalf("%v before the end: %+v, %v", end.Sub(b.now), rep, err)
				}
				b.now = b.now.Add(5 * time.Minute)
			}
			b.now = b.now.Add(time.Minute)
			rep, err := b.r.Sweep(b.ctx(), SweepOptions{})
			if it, _ := rep.Of(le.ID); err != nil || it.Outcome != Expired || it.Lease.SessionName != le.SessionName {
				t.Errorf("%+v, %v", rep, err)
			}
			b.now = b.now.Add(3 * time.Hour)
			rep, err = b.r.Sweep(b.ctx(), SweepOptions{All: true})
			if err != nil || len(rep.Deleted) != 1 || len(b.cloud.policies[roleA]) != 0 {
				t.Errorf("the past window stays: %+v, %v", rep, err)
			}
			calls := b.cloud.calls
			if rep, err := b.r.Sweep(b.ctx(), SweepOptions{All: true}); err != nil || b.cloud.calls != calls {
				t.Errorf("a role with nothing left is asked: %+v, %v", rep, err)
			}
		})
	}
}

func TestNothingIsForgottenWhileAWSsClockIsUnknown(t *testing.T) {
	b := newBench(t)
	b.cloud.undated = true
	le := b.lend(roleA, time.Hour)
	if _, err := b.r.Revoke(b.ctx(), le.ID); err != nil {
		t.Fatal(err)
	}
	b.skew = 24 * time.Hour // the host's clock jumps
	rep, err := b.r.Sweep(b.ctx(), SweepOptions{All: true})
	if err != nil || rep.Count(Expired) != 0 || len(rep.Deleted) != 0 || !b.cloud.denied(roleA, le.SessionName) {
		t.Errorf("%+v, %v", rep, err)
	}
	b.skew = 8 * 24 * time.Hour
	if rep, err := b.r.Sweep(b.ctx(), SweepOptions{}); err != nil || rep.Count(Expired) != 1 {
		t.Errorf("a week later it is still kept: %+v, %v", rep, err)
	}
}

func TestALeaseThatWasNeverDeniedLapsesVisibly(t *testing.T) {
	b := newBench(t)
	le := b.lend(roleA, time.Hour)
	b.cloud.fail = func(_, _ string) (error, error) { return errDenied, nil }
	if _, err := b.r.Revoke(b.ctx(), le.ID); err == nil {
		t.Fatal("no error")
	}
	b.now = b.now.Add(30 * time.Minute)
	if rep, err := b.r.Sweep(b.ctx(), SweepOptions{}); err == nil || rep.Count(Unrevoked) != 1 {
		t.Errorf("%+v, %v", rep, err)
	}
	b.cloud.fail = func(call, _ string) (error, error) {
		if call == "put" {
			return errDenied, nil
		}
		return nil, nil
	}
	b.now = b.now.Add(time.Hour)
	rep, err := b.r.Sweep(b.ctx(), SweepOptions{All: true})
	if err != nil || rep.Count(Lapsed) != 1 {
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestASweepGoesOnPastARoleThatFails(t *testing.T) {
	b := newBench(t)
	defer b.check()
	first, second := b.lend(roleA, time.Hour), b.lend(roleB, time.Hour)
	b.gone[first.Owner.PID], b.gone[second.Owner.PID] = true, true
	b.cloud.fail = func(_, role string) (error, error) {
		if role == roleA {
			return errTimeout, nil
		}
		return nil, nil
	}
	rep, err := b.r.Sweep(b.ctx(), SweepOptions{All: true})
	if err == nil || !strings.Contains(err.Error(), roleA) || b.get(first.ID).State != lease.Unrevoked || b.get(second.ID).State != lease.Denied {
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestARoleThatHangsDoesNotStopASweep(t *testing.T) {
	b := newBench(t)
	first, second := b.lend(roleA, time.Hour), b.lend(roleB, time.Hour)
	b.gone[first.Owner.PID], b.gone[second.Owner.PID] = true, true
	r := New(b.l, func(ctx context.Context, role string) (IAM, error) {
		if role == roleA {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return b.cloud, nil
	}, Options{Now: b.local, Timeout: 50 * time.Millisecond})
	if rep, err := r.Sweep(b.ctx(), SweepOptions{}); err == nil || b.get(first.ID).State != lease.Unrevoked || b.get(second.ID).State != lease.Denied {
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestALimitedSweepIsCheap(t *testing.T) {
	b := newBench(t)
	for range 6 {
		le := b.lend(roleA, time.Hour)
		b.gone[le.Owner.PID] = true
		b.now = b.now.Add(time.Second)
	}
	rep, err := b.r.Sweep(b.ctx(), SweepOptions{Limit: 2})
	if err != nil || rep.Count(Denied) != 2 || rep.Puts != 1 {
		t.Errorf("%+v, %v", rep, err)
	}
	b.cloud.fail = func(_, _ string) (error, error) { return errTimeout, nil }
	for range 2 {
		if rep, err := b.r.Sweep(b.ctx(), SweepOptions{Limit: 2}); err == nil || rep.Puts != 1 {
			t.Errorf("%+v, %v", rep, err)
		}
	}
	calls := b.cloud.calls
	if rep, err := b.r.Sweep(b.ctx(), SweepOptions{Limit: 2}); err != nil || b.cloud.calls != calls {
		t.Errorf("a broken IAM is asked again within a minute: %+v, %v", rep, err)
	}
}

func TestASweepReportsWhatItCannotRead(t *testing.T) {
	b := newBench(t)
	id := b.fresh(roleA, time.Hour).ID
	path := filepath.Join(b.l.Dir(), "leases", id+".json")
	if err := os.WriteFile(path, []byte(`{"version":1`), 0o600); err != nil {
		t.Fatal(err)
	}
	rep, err := b.r.Sweep(b.ctx(), SweepOptions{All: true})
	if err != nil || len(rep.Damaged) != 1 || rep.Damaged[0].ID != id {
		t.Errorf("%+v, %v", rep, err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	if _, err := b.r.Revoke(b.ctx(), id); !errors.Is(err, lease.ErrDamaged) {
		t.Errorf("revoke = %v", err)
	}
}

func TestAnEarlierWritersDenyIsLeftWhereItIs(t *testing.T) {
	b := newBench(t)
	defer b.check()
	old := b.lend(roleA, time.Hour)
	if _, err := b.r.Revoke(b.ctx(), old.ID); err != nil {
		t.Fatal(err)
	}
	before := b.cloud.policies[roleA][PolicyName(b.get(old.ID).Writer, b.get(old.ID).Window)]
	b.boot = b.now
	b.open(b.l.Dir(), "0a0a0a0a-0000-4000-8000-000000000002")
	le := b.lend(roleA, time.Hour)
	if _, err := b.r.Revoke(b.ctx(), le.ID); err != nil {
		t.Fatal(err)
	}
	after := b.cloud.policies[roleA][PolicyName(b.get(old.ID).Writer, b.get(old.ID).Window)]
	own := b.cloud.policies[roleA][PolicyName(b.get(le.ID).Writer, b.get(le.ID).Window)]
	if strings.Contains(own, old.SessionName) || !strings.Contains(own, le.SessionName) {
		t.Errorf("the new writer's policy: %s", own)
	}
	if before != after || len(b.cloud.policies[roleA]) != 2 || b.get(le.ID).Writer == b.get(old.ID).Writer {
		t.Errorf("policies: %v", b.cloud.policies[roleA])
	}
}
