package revoke

import (
	"context"
	"errors"
	"fmt"
	"time"

	"envrole/roles/fault"
	"envrole/roles/lease"
)

// The pauses between two looks at a role's lock. The holder talks to IAM, which
// takes a tenth of a second and more; hundreds may wait, and their looking must
// not take the processor from the one who works.
const (
	waitFirst = 2 * time.Millisecond
	waitLast  = 200 * time.Millisecond
)

// lockRole waits for the role's lock until ctx ends, or until done says that
// there is no need any more (then release is nil).
func (r *Revoker) lockRole(ctx context.Context, role string, done func() bool) (release func(), err error) {
	pause := waitFirst
	for {
		release, ok, err := r.ledger.TryLockRole(role)
		if err != nil {
			return nil, err
		}
		if ok {
			if done() { // who had the lock before did it
				release()
				return nil, nil
			}
			return release, nil
		}
		if done() {
			return nil, nil
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, fault.New(fault.Passing, "wait for the lock of role", role, ctx.Err(), "")
		case <-t.C:
		}
		pause = min(2*pause, waitLast)
	}
}

// answered looks whether another process has settled all these leases, or has
// tried and failed, since they were given. Failure is taken over: when 200
// cleanups wait and IAM is down, one of them has to find out.
func (r *Revoker) answered(mine []lease.Lease) ([]lease.Lease, bool) {
	now := make([]lease.Lease, 0, len(mine))
	for _, was := range mine {
		le, err := r.ledger.Get(was.ID)
		switch {
		case errors.Is(err, lease.ErrNotFound):
			was.State = "" // expired meanwhile
			now = append(now, was)
		case err != nil:
			return nil, false
		case le.State == lease.Denied, le.State == lease.Unrevoked && le.Attempts > was.Attempts:
			now = append(now, le)
		default:
			return nil, false
		}
	}
	return now, true
}

// report tells of leases that another process dealt with.
func (r *Revoker) report(role string, leases []lease.Lease, rep *Report) error {
	var failed error
	for _, le := range leases {
		switch le.State {
		case "":
			rep.found(le, Expired, nil)
		case lease.Unrevoked:
			err := explain(role, le.LastReason, fmt.Errorf("%w: %s", sentinel(le.LastReason), le.LastError))
			rep.found(le, Unrevoked, err)
			failed = err
		default:
			rep.found(le, settledAs(le), nil)
		}
	}
	return failed
}

// sentinel is the error behind a recorded reason.
func sentinel(reason string) error {
	switch reason {
	case ReasonAccess:
		return ErrAccess
	case ReasonOverflow:
		return ErrLimit
	}
	return errors.New("tried by another process")
}

// record is the context for writing down what was done: it outlives the
// caller's by localWait.
func record(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), localWait)
}
