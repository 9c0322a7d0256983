package admin

import (
	"testing"
	"time"

	"envrole/roles/lease"
)

func TestAJobLivesAsLongAsItsHandOver(t *testing.T) {
	ledger, err := lease.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for name, c := range map[string]struct {
		sealed   bool
		deadline time.Duration // of its lease; 0 is none
		want     bool
	}{
		"running without a role":          {sealed: true, want: true},
		"running with one":                {sealed: true, deadline: time.Hour, want: true},
		"past its deadline":               {sealed: true, deadline: -time.Hour},
		"cleaned up":                      {},
		"cleaned up, session not expired": {deadline: time.Hour},
	} {
		id, err := lease.NewID()
		if err != nil {
			t.Fatal(err)
		}
		if c.sealed {
			if err := ledger.WriteSealed(id, []byte("x"), now.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if c.deadline != 0 {
			if err := ledger.Create(t.Context(), lease.Lease{
				ID: id, State: lease.Asked, JobID: 1, RoleARN: "arn:aws:iam::111122223333:role/deploy", SessionName: "envrole-1", Revoke: "policy",
				AskedAt: now, ExpiresAt: now.Add(2 * time.Hour), Deadline: now.Add(c.deadline),
			}); err != nil {
				t.Fatal(err)
			}
		}
		if got := alive(ledger, id); got != c.want {
			t.Errorf("%s: alive %t", name, got)
		}
	}
	if alive(ledger, "../../etc/passwd") || alive(ledger, "") {
		t.Error("what is no lease id is alive")
	}
}
