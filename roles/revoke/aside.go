package revoke

import (
	"context"
	"errors"

	"envrole/roles/fault"
	"envrole/roles/lease"
)

// denyAside denies one session while the ledger takes no more: its disk is full,
// say, or read-only. Nothing could be recorded, so the session must not stand in
// this host's usual policy, which the next commit would write anew without it.
// It gets a policy of its own, under a writer's name that nobody uses again; as
// any other it is deleted when its window is well past. A sweep that finds the
// lease as it was denies the session once more, which harms nothing.
func (r *Revoker) denyAside(ctx context.Context, le lease.Lease, cause error, rep *Report) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	err := r.check(le)
	reason := ReasonInvalid
	if err == nil {
		err = r.putAside(ctx, le)
		reason = reasonOf(err)
	}
	switch {
	case errors.Is(err, ErrNotFound):
		rep.add(le, RoleGone, nil)
		return cause
	case err != nil:
		err = errors.Join(explain(le.RoleARN, reason, err), cause)
		rep.add(le, Unrevoked, err)
		return err
	}
	err = fault.New(fault.Internal, "record the deny of lease", le.ID, cause, fault.HelpOf(cause))
	rep.add(le, Denied, err)
	return err
}

func (r *Revoker) putAside(ctx context.Context, le lease.Lease) error {
	doc, err := Document([]Entry{{le.SessionName}})
	if err != nil {
		return err
	}
	once, err := lease.NewWriter()
	if err != nil {
		return err
	}
	iam, err := r.connect(ctx, le.RoleARN)
	if err != nil {
		return err
	}
	at, err := iam.PutRolePolicy(ctx, le.RoleARN, PolicyName(once, r.clock.window(le)), doc)
	r.clock.learn(at)
	return err
}
