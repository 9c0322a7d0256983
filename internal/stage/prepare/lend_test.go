package prepare

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"envrole/internal/audit"
	"envrole/internal/handover"
	"envrole/internal/stage"
	"envrole/roles/fault"
	"envrole/roles/lease"
	"envrole/roles/seal"
	"envrole/roles/settings"
)

// asked is a preparation whose lease is on disk.
func asked(t *testing.T) *preparation {
	t.Helper()
	ledger, err := lease.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	id, err := lease.NewID()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := ledger.Create(t.Context(), lease.Lease{
		ID: id, State: lease.Asked, JobID: 1, RoleARN: "arn:aws:iam::111122223333:role/deploy", SessionName: "gl-1-abcdefghijklm",
		Revoke: "policy", AskedAt: now, ExpiresAt: now.Add(time.Hour), Deadline: now.Add(time.Hour),
	}); err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(ledger.Dir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	var out bytes.Buffer
	return &preparation{
		call: stage.Call{Stdout: &out, Stderr: &out}, handed: stage.Handed{LeaseID: id},
		conf: &settings.Settings{}, ledger: ledger, log: log,
	}
}

// Only where there certainly is no session may its lease go: see the promise of
// session.Base.Lend about classes.
func TestALeaseIsVoidOnlyIfThereCertainlyIsNoSession(t *testing.T) {
	for class, void := range map[fault.Class]bool{fault.Refused: true, fault.Permanent: true, fault.Passing: false, fault.Internal: false} {
		p := asked(t)
		cause := fault.New(class, "assume role", "", errors.New("x"), "")
		if err := p.notLent(t.Context(), cause); !errors.Is(err, cause) {
			t.Errorf("%s: the cause was lost: %v", class, err)
		}
		_, err := p.ledger.Get(p.handed.LeaseID)
		if gone := errors.Is(err, lease.ErrNotFound); gone != void {
			t.Errorf("%s: lease gone: %v (%v)", class, gone, err)
		}
	}
}

func TestALeaseThatSomebodyClosesIsNotVoid(t *testing.T) {
	p := asked(t)
	if _, err := p.ledger.Update(t.Context(), p.handed.LeaseID, func(le *lease.Lease) error { le.State = lease.Closing; return nil }); err != nil {
		t.Fatal(err)
	}
	_ = p.notLent(t.Context(), fault.New(fault.Permanent, "assume role", "", errors.New("x"), ""))
	if _, err := p.ledger.Get(p.handed.LeaseID); err != nil {
		t.Errorf("a closing lease is whoever closes it: %v", err)
	}
}

// Somebody may take the session back between STS's answer and the hand-over.
func TestASessionThatWasTakenBackIsNotSealed(t *testing.T) {
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []lease.State{lease.Lent, lease.Closing} {
		p := asked(t)
		p.handed.Key = key
		if _, err := p.ledger.Update(t.Context(), p.handed.LeaseID, func(le *lease.Lease) error { le.State = state; return nil }); err != nil {
			t.Fatal(err)
		}
		err := p.seal(t.Context(), handover.State{Session: &handover.Session{Name: "x"}, Deadline: time.Now().Add(time.Hour)})
		_, readErr := p.ledger.ReadSealed(p.handed.LeaseID)
		if lent := state == lease.Lent; (err == nil) != lent || (readErr == nil) != lent {
			t.Errorf("%s: seal: %v, read: %v", state, err, readErr)
		}
	}
}

// A job's user who could write one of these could choose the role.
func TestEverythingThatDecidesIsChecked(t *testing.T) {
	p := &preparation{conf: &settings.Settings{File: "/etc/envrole/config.toml"}}
	p.conf.State.Dir, p.conf.GitLab.CAFile = "/var/lib/envrole", "/etc/ssl/gitlab.pem"
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{p.conf.File, p.conf.State.Dir, p.conf.GitLab.CAFile, exe} {
		if !slices.Contains(p.authority(), want) {
			t.Errorf("%s is not", want)
		}
	}
}
