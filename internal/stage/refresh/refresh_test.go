package refresh

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"envrole/internal/audit"
	"envrole/internal/handover"
	"envrole/internal/stage"
	"envrole/roles"
	"envrole/roles/fault"
	"envrole/roles/lease"
	"envrole/roles/seal"
	"envrole/roles/session"
)

// lentOnce is a renewal of a lease whose first session is sealed.
func lentOnce(t *testing.T) *refresh {
	t.Helper()
	dir := t.TempDir()
	ledger, err := lease.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	id, err := lease.NewID()
	if err != nil {
		t.Fatal(err)
	}
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	state := handover.State{
		Session:  &handover.Session{SecretAccessKey: "secret-1", Name: "gl-1-aaaaaaaaaaaaa", Generation: 1},
		Renewal:  &handover.Renewal{Grant: roles.Grant{RoleARN: "arn:aws:iam::111122223333:role/r"}},
		Deadline: now.Add(time.Hour),
	}
	if err := ledger.Create(t.Context(), lease.Lease{
		ID: id, State: lease.Asked, RoleARN: state.Renewal.Grant.RoleARN, SessionName: state.Session.Name,
		Revoke: "policy", AskedAt: now, ExpiresAt: now.Add(time.Hour), Deadline: state.Deadline,
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Update(t.Context(), id, func(le *lease.Lease) error { le.State = lease.Lent; return nil }); err != nil {
		t.Fatal(err)
	}
	r := &refresh{handed: stage.Handed{LeaseID: id, Key: key, StateDir: dir}, ledger: ledger, log: log, state: state}
	r.seal(t, state)
	return r
}

func (r *refresh) seal(t *testing.T, state handover.State) {
	t.Helper()
	blob, err := handover.Seal(r.handed.Key, r.handed.LeaseID, state)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.ledger.WriteSealed(r.handed.LeaseID, blob, state.Deadline); err != nil {
		t.Fatal(err)
	}
}

func lent() session.Session { return session.Session{Expiration: time.Now().Add(time.Hour)} }

func TestARenewedSessionReplacesTheSealedOne(t *testing.T) {
	r := lentOnce(t)
	if err := r.keep(t.Context(), lent(), r.now(), 0); err != nil {
		t.Fatal(err)
	}
	now, err := stage.OpenState(r.ledger, r.handed)
	if err != nil || now.Session.Generation != 2 || now.Session.Earlier[0].SecretAccessKey != "secret-1" {
		t.Errorf("%+v %v", now.Session.Generation, err)
	}
}

// The helper of a killed run stage lives on beside the next one's. What the
// faster one sealed may be in a job's hands: put aside, the log filter would
// forget it.
func TestASlowerHelperThrowsItsSessionAway(t *testing.T) {
	r := lentOnce(t)
	faster := r.state
	s := r.state.Session.Renewed(handover.Session{SecretAccessKey: "of the faster one"})
	faster.Session = &s
	r.seal(t, faster)
	if err := r.keep(t.Context(), lent(), r.now(), 0); err != nil {
		t.Fatal(err)
	}
	now, err := stage.OpenState(r.ledger, r.handed)
	if err != nil || now.Session.SecretAccessKey != "of the faster one" || now.Session.Generation != 2 {
		t.Errorf("generation %d: %v", now.Session.Generation, err)
	}
}

// An outage of hours is some lines in the audit log, not hundreds; what is final
// is always written down.
func TestFailuresInARowAreWrittenDownEverMoreSeldom(t *testing.T) {
	r := lentOnce(t)
	lines := func() int {
		b, err := os.ReadFile(filepath.Join(r.handed.StateDir, audit.FileName))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(b), `"event":"refresh_failed"`)
	}
	down := fault.New(fault.Passing, op, "", errors.New("STS is down"), "")
	for r.failures = range 1000 {
		if err := r.failed(down); !errors.Is(err, error(down)) {
			t.Fatal(err)
		}
	}
	if n := lines(); n != 10 { // 1, 2, 4 ... 512
		t.Errorf("%d lines of 1000 failures", n)
	}
	r.failures = 1000
	_ = r.failed(fault.New(fault.Permanent, op, "", errors.New("denied"), ""))
	b, err := os.ReadFile(filepath.Join(r.handed.StateDir, audit.FileName))
	if n := lines(); err != nil || n != 11 || !strings.Contains(string(b), `"failures":1001`) || !strings.Contains(string(b), `"failures":512`) {
		t.Errorf("%d lines, %v:\n%s", n, err, b)
	}
}

func TestNothingIsSealedForALeaseThatClosedMeanwhile(t *testing.T) {
	r := lentOnce(t)
	if _, err := r.ledger.Update(t.Context(), r.handed.LeaseID, func(le *lease.Lease) error { le.State = lease.Closing; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := r.keep(t.Context(), lent(), r.now(), 0); err == nil {
		t.Error("it was kept")
	}
	if now, err := stage.OpenState(r.ledger, r.handed); err != nil || now.Session.Generation != 1 {
		t.Errorf("%v", err)
	}
}

// What is refused was lent all the same: whatever writes the deny must keep it
// until the later end.
func TestTheEndOfARefusedSessionIsRemembered(t *testing.T) {
	for _, tc := range []struct {
		states   []lease.State // that the lease came to meanwhile
		deadline time.Duration // of the job, from now
		known    bool
	}{
		{nil, -time.Minute, true},
		{[]lease.State{lease.Closing}, time.Hour, true},
		{[]lease.State{lease.Closing, lease.Unrevoked}, time.Hour, true},
		// The deny is written, and kept until the end that was raised before.
		{[]lease.State{lease.Closing, lease.Denied}, time.Hour, false},
	} {
		r := lentOnce(t)
		for _, to := range tc.states {
			if _, err := r.ledger.Update(t.Context(), r.handed.LeaseID, func(le *lease.Lease) error { le.State = to; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		r.state.Deadline = time.Now().Add(tc.deadline)
		late := session.Session{Expiration: time.Now().Add(3 * time.Hour)}
		if err := r.keep(t.Context(), late, r.now(), 0); fault.ClassOf(err) != fault.Refused {
			t.Errorf("%v: it was kept: %v", tc.states, err)
		}
		le, err := r.ledger.Get(r.handed.LeaseID)
		if err != nil || le.ExpiresAt.Equal(late.Expiration) != tc.known {
			t.Errorf("%v: the lease knows of %s, the session ends %s: %v", tc.states, le.ExpiresAt, late.Expiration, err)
		}
		if le.AccessKeyID != "" {
			t.Errorf("%v: the lease names a session that nobody has", tc.states)
		}
		if now, err := stage.OpenState(r.ledger, r.handed); err != nil || now.Session.Generation != 1 {
			t.Errorf("%v: %v", tc.states, err)
		}
	}
}
