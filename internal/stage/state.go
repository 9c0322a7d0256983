package stage

import (
	"errors"
	"fmt"

	"envrole/internal/handover"
	"envrole/roles/fault"
	"envrole/roles/lease"
)

// OpenState reads what prepare sealed for this job.
func OpenState(ledger *lease.Ledger, handed Handed) (handover.State, error) {
	const help = "Without it nothing says how this job may run. If prepare succeeded, something removed or changed the file in the state directory; the job can be retried."
	blob, err := ledger.ReadSealed(handed.LeaseID)
	if errors.Is(err, lease.ErrNotFound) {
		// A revocation destroys the sealed session: say that, if it was one.
		if le, getErr := ledger.Get(handed.LeaseID); getErr == nil && le.State != lease.Lent {
			return handover.State{}, TakenBack(le)
		}
	}
	if err != nil {
		return handover.State{}, fault.New(fault.Internal, "read sealed state of lease", handed.LeaseID, err, help)
	}
	state, err := handover.Open(handed.Key, handed.LeaseID, blob)
	if err != nil {
		return handover.State{}, fault.New(fault.Internal, "open sealed state of lease", handed.LeaseID, err, help)
	}
	return state, nil
}

// TakenBack is the end of a job whose session is not lent any more.
func TakenBack(le lease.Lease) error {
	return fault.New(fault.Internal, "use lease", le.ID, fmt.Errorf("its state is %q: the session was taken back", le.State),
		"A cleanup, a sweep or an administrator closed this job's lease; retry the job if it was not meant to end.")
}
