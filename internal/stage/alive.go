package stage

import (
	"errors"
	"time"

	"envrole/roles/lease"
)

// Alive says, of a lease's id, whether its job may still go on by what the
// stages have written down: the lease is not dead, or, of a job without a role,
// what prepare sealed is there and not past its time. What cannot be read counts
// as alive.
func Alive(ledger *lease.Ledger) func(leaseID string) bool {
	return func(id string) bool {
		now := time.Now()
		le, err := ledger.Get(id)
		switch {
		case err == nil:
			dead, _ := ledger.Dead(le, now)
			return !dead
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
