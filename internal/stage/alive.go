package stage

import (
	"errors"
	"time"

	"envrole/roles/lease"
)

// Alive says, of a lease's id, whether its job may still go on by what the
// stages have written down: the lease is not dead, or, of a job without a role,
// what prepare sealed is there and not past its time. What cannot be read counts
// as alive. Bases ask it of what they keep for jobs, and remove what has no job.
func Alive(ledger *lease.Ledger) func(leaseID string) bool {
	return func(id string) bool {
		now := time.Now()
		le, err := ledger.Get(id)
		switch {
		case err == nil:
			dead, _ := ledger.Dead(le, now)
			return !dead && !ended(ledger, le)
		case !errors.Is(err, lease.ErrNotFound):
			return true
		}
		until, err := ledger.SealedUntil(id)
		if errors.Is(err, lease.ErrNotFound) {
			return false
		}
		return err != nil || now.Before(until)
	}
}

// ended says whether a job is over although its runner lives: its session was
// taken back, what prepare sealed is gone with it, and no script runs. Its
// cleanup did that, or an administrator, and then no further script can begin.
func ended(ledger *lease.Ledger, le lease.Lease) bool {
	if le.State == lease.Asked || le.State == lease.Lent {
		return false
	}
	if _, err := ledger.SealedUntil(le.ID); !errors.Is(err, lease.ErrNotFound) {
		return false
	}
	held, err := ledger.Held(le.ID)
	return err == nil && !held
}
