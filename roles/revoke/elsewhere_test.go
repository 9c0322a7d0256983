package revoke

import (
	"testing"
	"time"

	"envrole/roles"
	"envrole/roles/lease"
)

// Whoever settles a lease reports it once; all others say that they found it so.
func TestOneLeaseIsReportedAsDoneHereOnlyOnce(t *testing.T) {
	for _, how := range []string{roles.RevokePolicy, roles.RevokeLocal} {
		b := newBench(t)
		le := b.fresh(roleA, time.Hour)
		le.Revoke = how
		le = b.create(le)
		b.update(le.ID, func(le *lease.Lease) { le.State = lease.Lent })
		for run, elsewhere := range []bool{false, true, true} {
			rep, err := b.r.Revoke(b.ctx(), le.ID)
			if it, ok := rep.Of(le.ID); err != nil || !ok || it.Elsewhere != elsewhere || len(rep.Items) != 1 {
				t.Errorf("%s, run %d: %+v, %v", how, run, rep.Items, err)
			}
		}
	}
}

// A job's own cleanup is not overtaken by the small sweeps of all the others,
// but a large sweep, and time, wait for nobody.
func TestASmallSweepLeavesAYoungClosingLeaseToItsCleanup(t *testing.T) {
	for name, tc := range map[string]struct {
		limit int
		age   time.Duration
		taken bool
	}{
		"small, young":            {5, DefaultTimeout - time.Second, false},
		"small, old":              {5, DefaultTimeout, true},
		"small, from the future":  {5, -time.Minute, true},
		"unlimited, just started": {0, 0, true},
	} {
		b := newBench(t)
		le := b.lend(roleA, time.Hour)
		b.update(le.ID, func(le *lease.Lease) { le.State, le.ClosingAt = lease.Closing, b.local().Add(-tc.age) })
		rep, err := b.r.Sweep(b.ctx(), SweepOptions{Limit: tc.limit})
		if err != nil || (rep.Count(Denied) == 1) != tc.taken {
			t.Errorf("%s: %+v, %v", name, rep.Items, err)
		}
	}
}
