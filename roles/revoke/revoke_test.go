package revoke

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"envrole/roles"
	"envrole/roles/fault"
	"envrole/roles/lease"
)

func TestRevokeDeniesTheSessionAndNoOther(t *testing.T) {
	b := newBench(t)
	defer b.check()
	mine, neighbour := b.lend(roleA, time.Hour), b.lend(roleA, time.Hour)
	asked := b.create(b.fresh(roleA, time.Hour)) // STS's answer was never seen
	if err := b.l.WriteSealed(mine.ID, []byte("blob"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	rep, err := b.r.Revoke(b.ctx(), mine.ID, asked.ID)
	if err != nil || rep.Puts != 1 || rep.Lists != 0 || rep.Deletes != 0 || rep.Count(Denied) != 2 {
		t.Errorf("report = %+v, %v; want two denied by one put and no other call", rep, err)
	}
	for _, le := range []lease.Lease{mine, asked} {
		if got := b.get(le.ID); got.State != lease.Denied || got.Writer == "" || got.Window != "2026112221" || !b.cloud.denied(roleA, le.SessionName) {
			t.Errorf("lease %+v, denied: %v", got, b.cloud.denied(roleA, le.SessionName))
		}
	}
	if b.cloud.denied(roleA, neighbour.SessionName) || b.get(neighbour.ID).State != lease.Lent {
		t.Error("the neighbour was denied")
	}
	if _, err := b.l.ReadSealed(mine.ID); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("sealed session = %v", err)
	}
	// Again, as cleanup may.
	rep, err = b.r.Revoke(b.ctx(), mine.ID)
	if it, ok := rep.Of(mine.ID); err != nil || rep.Puts != 0 || !ok || it.Outcome != Denied {
		t.Errorf("second time: %+v, %v", rep, err)
	}
}

func TestRevokeOfAnUnknownLeaseIsNothingToDo(t *testing.T) {
	b := newBench(t)
	id := b.fresh(roleA, time.Hour).ID
	if rep, err := b.r.Revoke(b.ctx(), id); err != nil || rep.Count(Unknown) != 1 || b.cloud.calls != 0 {
		t.Errorf("%+v, %v", rep, err)
	}
	if rep, err := b.r.Revoke(b.ctx(), "../../etc/passwd"); err == nil || b.cloud.calls != 0 {
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestLocalRevocationTouchesNoIAM(t *testing.T) {
	b := newBench(t)
	le := b.fresh(roleA, time.Hour)
	le.Revoke = roles.RevokeLocal
	b.create(le)
	if err := b.l.WriteSealed(le.ID, []byte("blob"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	rep, err := b.r.Revoke(b.ctx(), le.ID)
	if got := b.get(le.ID); err != nil || rep.Count(Local) != 1 || got.State != lease.Denied || got.Note != lease.NoteLocal || b.cloud.calls != 0 {
		t.Errorf("%+v, %v, %+v", rep, err, got)
	}
	if _, err := b.l.ReadSealed(le.ID); !errors.Is(err, lease.ErrNotFound) {
		t.Errorf("sealed session = %v", err)
	}
	b.now = b.now.Add(2 * time.Hour)
	if rep, err := b.r.Sweep(b.ctx(), SweepOptions{}); err != nil || rep.Count(Expired) != 1 || b.cloud.calls != 0 {
		t.Errorf("%+v, %v", rep, err)
	}
}

// Prepare may be at the point of sealing when a cleanup or the red button comes.
func TestNoSessionIsSealedBehindARevocation(t *testing.T) {
	for _, way := range []string{roles.RevokePolicy, roles.RevokeLocal} {
		b := newBench(t)
		le := b.fresh(roleA, time.Hour)
		le.Revoke = way
		b.create(le)
		b.update(le.ID, func(le *lease.Lease) { le.State = lease.Lent })
		if err := b.l.WriteSealed(le.ID, []byte("first"), time.Time{}); err != nil {
			t.Fatal(err)
		}
		sealing, sealed := make(chan struct{}), make(chan error, 1)
		go func() {
			_, err := b.l.Update(b.ctx(), le.ID, func(*lease.Lease) error {
				close(sealing)
				// A revocation that does not wait for us has removed the first by then.
				for range 50 {
					if _, err := b.l.ReadSealed(le.ID); err != nil {
						break
					}
					time.Sleep(2 * time.Millisecond)
				}
				return b.l.WriteSealed(le.ID, []byte("second"), time.Time{})
			})
			sealed <- err
		}()
		<-sealing
		if _, err := b.r.Revoke(b.ctx(), le.ID); err != nil {
			t.Error(err)
		}
		if err := <-sealed; err != nil {
			t.Error(err)
		}
		if _, err := b.l.ReadSealed(le.ID); !errors.Is(err, lease.ErrNotFound) {
			t.Errorf("%s: a sealed session outlives its revocation: %v", way, err)
		}
	}
}

func TestFailuresLeaveAVisibleLeaseThatASweepSettles(t *testing.T) {
	limit := fault.New(fault.Passing, "put", roleA, ErrLimit, "")
	for name, c := range map[string]struct {
		before, after error
		class         fault.Class
		reason, help  string
	}{
		"no permission":    {errDenied, nil, fault.Permanent, ReasonAccess, `"iam:PutRolePolicy"`},
		"timeout":          {errTimeout, nil, fault.Passing, ReasonPassing, "every sweep tries again"},
		"answer lost":      {nil, errTimeout, fault.Passing, ReasonPassing, "every sweep tries again"},
		"full":             {limit, nil, fault.Passing, ReasonOverflow, "10240"},
		"unknown refusal":  {fault.New(fault.Permanent, "put", "", errors.New("odd"), "do this"), nil, fault.Permanent, ReasonOther, "do this"},
		"context deadline": {fmt.Errorf("x: %w", context.DeadlineExceeded), nil, fault.Passing, ReasonPassing, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			defer b.check()
			le := b.lend(roleA, time.Hour)
			b.cloud.fail = func(call, _ string) (error, error) {
				if call == "put" {
					return c.before, c.after
				}
				return nil, nil
			}
			rep, err := b.r.Revoke(b.ctx(), le.ID)
			if fault.ClassOf(err) != c.class || !strings.Contains(fault.HelpOf(err), c.help) {
				t.Errorf("revoke = %v (%v), help %q", err, fault.ClassOf(err), fault.HelpOf(err))
			}
			it, ok := rep.Of(le.ID)
			if !ok || it.Outcome != Unrevoked || it.Err == nil {
				t.Errorf("report: %+v", rep)
			}
			if got := b.get(le.ID); got.State != lease.Unrevoked || got.LastReason != c.reason || got.LastError == "" || got.Attempts != 1 {
				t.Errorf("lease: %+v", got)
			}
			b.cloud.fail = nil
			rep, err = b.r.Sweep(b.ctx(), SweepOptions{})
			if got := b.get(le.ID); err != nil || got.State != lease.Denied || got.LastError != "" || !b.cloud.denied(roleA, le.SessionName) {
				t.Errorf("after sweep: %+v, %v, %+v", got, err, rep)
			}
		})
	}
}

func TestADeletedRoleTakesItsSessionsWithIt(t *testing.T) {
	b := newBench(t)
	le := b.lend(roleA, time.Hour)
	b.cloud.gone[roleA] = true
	rep, err := b.r.Revoke(b.ctx(), le.ID)
	if got := b.get(le.ID); err != nil || rep.Count(RoleGone) != 1 || got.State != lease.Denied || got.Note != lease.NoteRoleGone || got.Writer != "" {
		t.Errorf("%+v, %v, %+v", rep, err, got)
	}
}

func TestATamperedLeaseNeverReachesIAM(t *testing.T) {
	for name, spoil := range map[string]func(*lease.Lease){
		"wildcard name":   func(le *lease.Lease) { le.SessionName = "*" },
		"other format":    func(le *lease.Lease) { le.SessionName = "AROAEXAMPLE:someone" },
		"wildcard role":   func(le *lease.Lease) { le.RoleARN = "arn:aws:iam::111122223333:role/*" },
		"no role":         func(le *lease.Lease) { le.RoleARN = "arn:aws:iam::111122223333:root" },
		"unlisted role":   func(le *lease.Lease) { le.RoleARN = "arn:aws:iam::111122223333:role/admin" },
		"name of a quote": func(le *lease.Lease) { le.SessionName = nameA + `","*` },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			defer b.check()
			bad := b.fresh(roleA, time.Hour)
			spoil(&bad)
			b.create(bad)
			good := b.lend(roleA, time.Hour)
			r := b.revoker(Options{AllowedRole: func(arn string) bool { return arn == roleA }})
			rep, err := r.Revoke(b.ctx(), bad.ID)
			if err == nil || fault.ClassOf(err) != fault.Permanent || b.cloud.calls != 0 {
				t.Errorf("%v, %d calls: %+v", err, b.cloud.calls, rep)
			}
			if got := b.get(bad.ID); got.State != lease.Unrevoked || got.LastReason != ReasonInvalid {
				t.Errorf("%+v", got)
			}
			b.gone[good.Owner.PID] = true
			rep, err = r.Sweep(b.ctx(), SweepOptions{All: true})
			if it, _ := rep.Of(bad.ID); err == nil || it.Outcome != Unrevoked || rep.Count(Denied) != 1 {
				t.Errorf("%+v, %v", rep, err)
			}
			if !b.cloud.denied(roleA, good.SessionName) || len(b.cloud.policies) != 1 {
				t.Errorf("policies: %v", b.cloud.policies)
			}
		})
	}
}

// The record on disk is changed after the deny was written.
func TestATamperedDeniedLeaseDoesNotSpoilThePolicy(t *testing.T) {
	b := newBench(t)
	defer b.check()
	bad, good := b.lend(roleA, time.Hour), b.lend(roleA, time.Hour)
	if _, err := b.r.Revoke(b.ctx(), bad.ID); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(b.l.Dir(), "leases", bad.ID+".json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), bad.SessionName, "*", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if rep, err := b.r.Revoke(b.ctx(), good.ID); err != nil || !b.cloud.denied(roleA, good.SessionName) {
		t.Errorf("%+v, %v", rep, err)
	}
}

func TestARefreshThatRacesIsDeniedInItsLaterWindow(t *testing.T) {
	b := newBench(t)
	defer b.check()
	le := b.lend(roleA, time.Hour)
	raised := false
	b.cloud.fail = func(call, _ string) (error, error) {
		if call == "put" && !raised {
			raised = true
			b.update(le.ID, func(le *lease.Lease) { le.ExpiresAt = le.ExpiresAt.Add(3 * time.Hour) })
		}
		return nil, nil
	}
	rep, err := b.r.Revoke(b.ctx(), le.ID)
	if got := b.get(le.ID); err != nil || got.State != lease.Denied || got.Window != Window(got.ExpiresAt.Add(Margin)) || rep.Puts != 2 {
		t.Errorf("%+v, %v, %+v", rep, err, got)
	}
	if _, err := b.l.Update(b.ctx(), le.ID, func(le *lease.Lease) error { le.ExpiresAt = le.ExpiresAt.Add(time.Hour); return nil }); !errors.Is(err, lease.ErrTransition) {
		t.Errorf("a denied lease was refreshed: %v", err)
	}
}

func TestASlowHostClockStillGivesAWindowThatLasts(t *testing.T) {
	for _, skew := range []time.Duration{-3 * time.Hour, -10 * time.Minute, 10 * time.Minute, 30 * time.Hour} {
		b := newBench(t)
		b.skew = skew
		le := b.create(b.fresh(roleA, time.Hour)) // the expiry is told by this host's clock
		truth := b.now.Add(time.Hour)
		if rep, err := b.r.Revoke(b.ctx(), le.ID); err != nil || rep.Puts > 2 {
			t.Errorf("%v: %+v, %v", skew, rep, err)
		}
		other := newBench(t) // another host of the account sweeps all the time
		other.cloud = b.cloud
		for b.now.Before(truth) {
			b.now = b.now.Add(10 * time.Minute)
			if err := other.l.RememberRole(roleA); err != nil {
				t.Fatal(err)
			}
			if _, err := other.revoker(Options{}).Sweep(b.ctx(), SweepOptions{All: true}); err != nil {
				t.Fatal(err)
			}
			if _, err := b.r.Sweep(b.ctx(), SweepOptions{All: true}); err != nil {
				t.Fatal(err)
			}
			if !b.cloud.denied(roleA, le.SessionName) {
				t.Errorf("%v: the deny was gone %v before the expiry", skew, truth.Sub(b.now))
				break
			}
		}
	}
}

// With AWS's clock known, an expiry that a slow host wrote down looks past.
func TestASlowHostForgetsNoLivingSession(t *testing.T) {
	b := newBench(t)
	defer b.check()
	b.skew = -3 * time.Hour
	for range 2 { // the first answer tells AWS's time
		le := b.create(b.fresh(roleA, time.Hour))
		rep, err := b.r.Revoke(b.ctx(), le.ID)
		if err != nil || rep.Count(Denied) != 1 || !b.cloud.denied(roleA, le.SessionName) {
			t.Errorf("%+v, %v", rep, err)
		}
	}
}

func TestTheMarginCountsForTheWindow(t *testing.T) {
	b := newBench(t) // it is 20:10
	for d, want := range map[time.Duration]string{30 * time.Minute: "2026112220", 40 * time.Minute: "2026112221"} {
		le := b.lend(roleA, d)
		if _, err := b.r.Revoke(b.ctx(), le.ID); err != nil || b.get(le.ID).Window != want {
			t.Errorf("expiry %s: window %s, %v; want %s", le.ExpiresAt.Format(time.TimeOnly), b.get(le.ID).Window, err, want)
		}
	}
}

// A cancelled cleanup must not forget what it did.
func TestAnAnswerIsRecordedThoughTheCallerGaveUp(t *testing.T) {
	b := newBench(t)
	le, other := b.lend(roleA, time.Hour), b.lend(roleB, time.Hour)
	ctx, cancel := context.WithCancel(b.ctx())
	b.cloud.fail = func(_, _ string) (error, error) { cancel(); return nil, nil }
	_, err := b.r.Revoke(ctx, le.ID, other.ID)
	if err == nil || b.get(le.ID).State != lease.Denied || b.get(other.ID).State != lease.Unrevoked {
		t.Errorf("%v, %s and %s", err, b.get(le.ID).State, b.get(other.ID).State)
	}
}
