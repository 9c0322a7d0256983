package report

import (
	"errors"
	"time"

	"envrole/internal/vend"
	"envrole/roles/lease"
	"envrole/roles/revoke"
)

// RemoveSockets removes what killed run stages of the swept jobs left for tools: the
// socket's directory. Whoever sweeps does it, for a lease that is settled is in no
// later report. It goes by the leases, never by what lies in /tmp, and leaves a job
// alone that still runs.
func RemoveSockets(ledger *lease.Ledger, rep revoke.Report) error {
	var errs []error
	for _, it := range rep.Items {
		if dead, _ := ledger.Dead(it.Lease, time.Now()); dead {
			errs = append(errs, vend.Sweep(it.Lease.ID))
		}
	}
	return errors.Join(errs...)
}
