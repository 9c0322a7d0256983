package revoke

import (
	"context"
	"errors"
	"slices"

	"envrole/roles/fault"
	"envrole/roles/lease"
)

// SweepOptions bound a sweep.
type SweepOptions struct {
	// Limit is the number of leases to deny, and of leases to forget, at most;
	// 0 is no limit. With a
	// limit, leases that failed within the last minute are left alone: a
	// prepare that sweeps on its way must not wait for a broken IAM each time.
	// So are those whose own cleanup may still be at it.
	Limit int
	// All also looks for past windows on every role that this ledger ever
	// wrote to, not only on those with something to settle.
	All bool
}

// Sweep settles every lease whose job is gone: living sessions are denied, those
// that are over are forgotten, and what dead processes left is removed. A
// failure for one role does not stop the others; the error joins them all, and
// the report is valid with it.
func (r *Revoker) Sweep(ctx context.Context, o SweepOptions) (Report, error) {
	var rep Report
	var errs []error
	var err error
	if rep.Cleaned, err = r.ledger.Clean(ctx, r.now()); err != nil {
		errs = append(errs, err)
	}
	leases, damaged, err := r.ledger.List(ctx)
	rep.Damaged = damaged
	if err != nil {
		return rep, errors.Join(append(errs, err)...)
	}
	s := &sweep{r: r, o: o, rep: &rep, byRole: map[string][]lease.Lease{}, why: map[string]string{}}
	for _, le := range leases {
		if err := s.take(ctx, le); err != nil {
			errs = append(errs, err)
		}
	}
	for _, role := range s.roles {
		if err := r.commit(ctx, role, s.byRole[role], false, &rep); err != nil {
			errs = append(errs, err)
		}
	}
	s.forget(ctx)
	s.tidy(ctx)
	for i, it := range rep.Items {
		rep.Items[i].Why = s.why[it.Lease.ID]
	}
	errs = append(errs, rep.Errors...)
	return rep, errors.Join(errs...)
}

type sweep struct {
	r      *Revoker
	o      SweepOptions
	rep    *Report
	taken  int
	roles  []string // in the order of their oldest lease
	byRole map[string][]lease.Lease
	ripe   []lease.Lease
	why    map[string]string
}

// take decides what is to be done for one lease.
func (s *sweep) take(ctx context.Context, le lease.Lease) error {
	switch le.State {
	case lease.Denied:
		s.addRipe(le)
		return nil
	case lease.Unrevoked:
		if s.r.clock.over(le) {
			s.addRipe(le)
			return nil
		}
		if s.o.Limit > 0 && !s.r.due(le) {
			return nil
		}
	case lease.Asked, lease.Lent:
		dead, why := s.r.ledger.Dead(le, s.r.now())
		if !dead {
			return nil
		}
		s.why[le.ID] = why
	case lease.Closing:
		if s.o.Limit > 0 && s.r.closingNow(le) {
			return nil
		}
		s.why[le.ID] = "its cleanup did not end"
	}
	if s.o.Limit > 0 && s.taken >= s.o.Limit {
		return nil
	}
	s.taken++
	closed, here, err := s.r.close(ctx, le.ID)
	switch {
	case errors.Is(err, lease.ErrNotFound): // expired since the list was read
		return nil
	case closed.ID == "":
		return err
	case closed.State == lease.Denied:
		s.rep.closed(closed, here)
		return err
	}
	if s.byRole[closed.RoleARN] == nil {
		s.roles = append(s.roles, closed.RoleARN)
	}
	s.byRole[closed.RoleARN] = append(s.byRole[closed.RoleARN], closed)
	return err
}

// closingNow says whether the cleanup that began to close the lease can still be
// at work: it takes no longer than the time limit.
func (r *Revoker) closingNow(le lease.Lease) bool {
	age := r.now().Sub(le.ClosingAt)
	return age >= 0 && age < r.timeout
}

// addRipe notes a lease that may be over, counted apart: the forgetting of old
// ones must not keep a limited sweep from the living.
func (s *sweep) addRipe(le lease.Lease) {
	_, known := s.r.clock.aws()
	if s.r.clock.ripe(le) && (!known || s.r.forgettable(le)) && (s.o.Limit <= 0 || len(s.ripe) < s.o.Limit) {
		s.ripe = append(s.ripe, le)
	}
}

// forget removes the leases that are over. By the host's clock they are; where
// AWS's is not known, one call asks for it.
func (s *sweep) forget(ctx context.Context) {
	var asked []string
	for _, le := range s.ripe {
		if _, known := s.r.clock.aws(); !known && !s.r.forgettable(le) && !slices.Contains(asked, le.RoleARN) {
			asked = append(asked, le.RoleARN)
			s.look(ctx, le.RoleARN)
		}
		if s.r.forgettable(le) {
			s.r.forget(ctx, le, s.rep)
		}
	}
}

// tidy looks for past windows on the roles that this sweep touched, or on all.
func (s *sweep) tidy(ctx context.Context) {
	arns := slices.Clone(s.roles)
	if s.o.All {
		known, err := s.r.ledger.Roles()
		if err != nil {
			s.rep.Errors = append(s.rep.Errors, err)
		}
		arns = append(arns, known...)
	}
	slices.Sort(arns)
	for _, arn := range slices.Compact(arns) {
		// A role that would not be denied on this time would not answer either.
		if !slices.ContainsFunc(s.rep.Items, func(it Item) bool {
			return it.Outcome == Unrevoked && it.Lease.RoleARN == arn && it.Lease.LastReason != ReasonOverflow
		}) {
			s.look(ctx, arn)
		}
	}
}

// look lists a role's policies and deletes the past ones.
func (s *sweep) look(ctx context.Context, arn string) {
	if !ValidRoleARN(arn) || !s.r.allowed(arn) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.r.timeout)
	defer cancel()
	if err := s.lookLocked(ctx, arn); err != nil {
		reason := reasonOf(err)
		if reason == ReasonOther && fault.ClassOf(err) == fault.Internal {
			s.rep.Errors = append(s.rep.Errors, err)
			return
		}
		s.rep.Errors = append(s.rep.Errors, explain(arn, reason, err))
	}
}

func (s *sweep) lookLocked(ctx context.Context, arn string) error {
	release, err := s.r.lockRole(ctx, arn, func() bool { return false })
	if err != nil {
		return err
	}
	defer release()
	c, err := s.r.connect(ctx, arn)
	if err != nil {
		return err
	}
	left, err := s.r.tidy(ctx, c, arn, s.rep, map[string]bool{})
	if err != nil || left > 0 {
		return err
	}
	return s.r.ledger.ForgetRole(arn)
}
