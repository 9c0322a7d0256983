package stage

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"envrole/roles/lease"
)

func TestWhatIsWrittenDownSaysWhichJobsLive(t *testing.T) {
	ledger, err := lease.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	alive := Alive(ledger)
	newID := func() string {
		id, err := lease.NewID()
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	lent := func(deadline time.Time) string {
		id := newID()
		err := ledger.Create(t.Context(), lease.Lease{
			ID: id, State: lease.Asked, JobID: 7, RoleARN: "arn:aws:iam::111122223333:role/r", SessionName: "gl-7-abcdefghijklm", Revoke: "policy",
			AskedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour), Deadline: deadline,
		})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	taken := func(kept bool) string {
		id := lent(time.Now().Add(time.Hour))
		if kept {
			if err := ledger.WriteSealed(id, []byte("x"), time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := ledger.Update(t.Context(), id, func(le *lease.Lease) error {
			le.State, le.ClosingAt = lease.Closing, time.Now()
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return id
	}
	running := taken(false)
	release, err := ledger.Hold(running)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	sealed := func(keep time.Time) string {
		id := newID()
		if err := ledger.WriteSealed(id, []byte("x"), keep); err != nil {
			t.Fatal(err)
		}
		return id
	}
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Minute)
	damaged := lent(soon)
	if err := os.WriteFile(filepath.Join(ledger.Dir(), "leases", damaged+".json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		id   string
		want bool
	}{
		"a lease":                        {lent(soon), true},
		"a lease past its deadline":      {lent(past), false},
		"a lease that cannot be read":    {damaged, true},
		"without a role, sealed":         {sealed(soon), true},
		"without a role, past its time":  {sealed(past), false},
		"taken back, sealed still there": {taken(true), true},
		"taken back, a script runs":      {running, true},
		"taken back, over":               {taken(false), false},
		"nothing at all":                 {newID(), false},
		"no lease's id":                  {"../../etc", true},
	} {
		if got := alive(c.id); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
