package revoke

import (
	"context"
	"errors"
	"fmt"
	"time"

	"envrole/roles"
	"envrole/roles/fault"
	"envrole/roles/lease"
)

// Options are what a Revoker may be told. The zero value is right for use.
type Options struct {
	// Now is the host's clock; nil is time.Now.
	Now func() time.Time
	// AllowedRole says whether the configuration knows the role: no other is
	// touched, whatever a lease says. nil allows every well-formed ARN.
	AllowedRole func(arn string) bool
	// Timeout bounds the work on one role, waiting for its lock included; 0 is
	// DefaultTimeout.
	Timeout time.Duration
	// MaxChars is the room for our documents in one role; 0 is MaxPolicyChars
	// less a reserve for what the admin keeps there.
	MaxChars int
}

// DefaultTimeout is enough for IAM's slow answers and the SDK's retries.
const DefaultTimeout = 30 * time.Second

// reserve is left free in each role for an admin's small change.
const reserve = 512

// localWait is how long recording an answer of IAM may take after the caller's
// context ended: what was done must not be lost.
const localWait = 10 * time.Second

// Revoker closes leases. It may be used by many goroutines, and many processes
// may have one on the same ledger.
type Revoker struct {
	ledger   *lease.Ledger
	connect  Connect
	now      func() time.Time
	allowed  func(string) bool
	timeout  time.Duration
	maxChars int
	clock    *clock
}

// New makes a Revoker on the ledger that reaches IAM by connect.
func New(l *lease.Ledger, connect Connect, o Options) *Revoker {
	r := &Revoker{ledger: l, connect: connect, now: o.Now, allowed: o.AllowedRole, timeout: o.Timeout, maxChars: o.MaxChars}
	if r.now == nil {
		r.now = time.Now
	}
	if r.allowed == nil {
		r.allowed = func(string) bool { return true }
	}
	if r.timeout <= 0 {
		r.timeout = DefaultTimeout
	}
	if r.maxChars <= 0 {
		r.maxChars = MaxPolicyChars - reserve
	}
	r.clock = newClock(l, r.now)
	return r
}

// Revoke ends the sessions of these leases: from the moment it starts there is
// no refresh any more, and when it returns nil each is denied, or needs no deny.
// Leases of the same role that wait elsewhere on this ledger are settled with
// them. A lease that does not exist is Unknown and no error, so that cleanup may
// run twice. The report is valid with an error too.
func (r *Revoker) Revoke(ctx context.Context, ids ...string) (Report, error) {
	var rep Report
	var errs []error
	var order []string
	byRole := map[string][]lease.Lease{}
	for _, id := range ids {
		le, here, err := r.close(ctx, id)
		switch {
		case errors.Is(err, lease.ErrNotFound):
			rep.add(lease.Lease{ID: id}, Unknown, nil)
			continue
		case le.ID == "": // not a lease, damaged or newer: nothing to go by
			rep.add(lease.Lease{ID: id}, Unrevoked, err)
			errs = append(errs, err)
			continue
		case err != nil:
			// The ledger could not be written. The session is denied all the
			// same; the lease then still says lent, and a sweep repeats it.
			if le.State != lease.Denied && le.Revoke != roles.RevokeLocal {
				errs = append(errs, r.denyAside(ctx, le, err, &rep))
				continue
			}
			errs = append(errs, err)
		}
		if le.State == lease.Denied {
			rep.closed(le, here)
			continue
		}
		if byRole[le.RoleARN] == nil {
			order = append(order, le.RoleARN)
		}
		byRole[le.RoleARN] = append(byRole[le.RoleARN], le)
	}
	for _, role := range order {
		if err := r.commit(ctx, role, byRole[role], true, &rep); err != nil {
			errs = append(errs, err)
		}
	}
	return rep, errors.Join(errs...)
}

// close marks a lease as closing, destroys its sealed session, and settles it
// if the rule asks for no more; here says that this call did. The lease comes
// back with an error if it could be read but not changed. The session goes last:
// prepare seals it under the lease's lock and only while it is lent, so that
// nothing is sealed behind our back.
func (r *Revoker) close(ctx context.Context, id string) (le lease.Lease, here bool, err error) {
	le, err = r.ledger.Get(id)
	if err != nil {
		return lease.Lease{}, false, err
	}
	var closeErr error
	if le.State == lease.Asked || le.State == lease.Lent {
		closed, err := r.ledger.Update(ctx, id, func(le *lease.Lease) error {
			if le.State == lease.Asked || le.State == lease.Lent {
				le.State, le.ClosingAt = lease.Closing, r.now().UTC()
			}
			return nil
		})
		if closed.ID != "" {
			le = closed
		}
		closeErr = err
	}
	// Without its blob no later stage gets at the session again.
	if err := errors.Join(closeErr, r.ledger.RemoveSealed(id)); err != nil {
		return le, false, err
	}
	if le.Revoke == roles.RevokeLocal && le.State == lease.Closing {
		settled, err := r.settle(ctx, le, lease.NoteLocal)
		if err != nil {
			return le, false, err
		}
		le, here = settled, true
	}
	return le, here, nil
}

// settle records that a lease needs no deny.
func (r *Revoker) settle(ctx context.Context, le lease.Lease, note string) (lease.Lease, error) {
	return r.ledger.Update(ctx, le.ID, func(le *lease.Lease) error {
		if le.State != lease.Denied {
			le.State, le.DeniedAt, le.Note = lease.Denied, r.now().UTC(), note
			le.LastError, le.LastReason = "", ""
		}
		return nil
	})
}

func settledAs(le lease.Lease) Outcome {
	switch le.Note {
	case lease.NoteLocal:
		return Local
	case lease.NoteRoleGone:
		return RoleGone
	}
	return Denied
}

// check says why a lease must not reach IAM: what it says would become part of
// a policy or choose the role that is written to.
func (r *Revoker) check(le lease.Lease) error {
	invalid := func(what string) error {
		return fault.New(fault.Permanent, "revoke lease", le.ID, errors.New(what), "")
	}
	switch {
	case !ValidRoleARN(le.RoleARN):
		return invalid("its role is not the ARN of a role")
	case !r.allowed(le.RoleARN):
		return invalid(fmt.Sprintf("role %s is not in the configuration", le.RoleARN))
	case !ValidSessionName(le.SessionName):
		return invalid(ErrEntry.Error())
	}
	return nil
}
