package revoke

import (
	"context"
	"errors"
	"slices"

	"envrole/roles"
	"envrole/roles/fault"
	"envrole/roles/lease"
)

// maxRounds bounds how often a commit plans anew because AWS's clock, or an
// expiry raised meanwhile, moved a lease to a later window.
const maxRounds = 4

// commit denies all leases of the role that wait for it on this ledger, mine
// among them. Whoever has the role's lock does it for all; the others find
// their leases settled and return. The error is about mine only.
// Where the state directory takes no lock, aside says that mine are denied all
// the same; a sweep, which comes again and again, must not.
func (r *Revoker) commit(ctx context.Context, role string, mine []lease.Lease, aside bool, rep *Report) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	g := &group{r: r, role: role, rep: rep, mine: map[string]bool{}, seen: map[string]bool{}, deleted: map[string]bool{}}
	for _, le := range mine {
		g.mine[le.ID] = true
	}
	// What is never sent to IAM needs no lock, and its role may be anything.
	mine = slices.DeleteFunc(slices.Clone(mine), func(le lease.Lease) bool {
		err := r.check(le)
		if err != nil {
			g.seen[le.ID] = true
			g.fail(ctx, le, ReasonInvalid, err)
		}
		return err != nil
	})
	if len(mine) == 0 {
		return g.err
	}
	var theirs []lease.Lease
	release, err := r.lockRole(ctx, role, func() (ok bool) {
		theirs, ok = r.answered(mine)
		return ok
	})
	switch {
	case err != nil && (ctx.Err() != nil || !aside):
		for _, le := range mine {
			g.fail(ctx, le, ReasonPassing, err)
		}
		return g.err
	case err != nil: // the state directory takes no lock
		errs := []error{g.err}
		for _, le := range mine {
			errs = append(errs, r.denyAside(ctx, le, err, rep))
		}
		return errors.Join(errs...)
	case release == nil:
		return errors.Join(g.err, r.report(role, theirs, rep))
	}
	defer release()
	if err := g.gather(ctx, mine); err != nil {
		for _, le := range mine {
			g.fail(ctx, le, ReasonOther, err)
		}
		return g.err
	}
	g.run(ctx)
	return g.err
}

// group is one commit: the leases of one role, while its lock is held.
type group struct {
	r      *Revoker
	role   string
	rep    *Report
	iam    IAM
	writer string
	mine   map[string]bool
	// seen are the leases that need no second look.
	seen map[string]bool
	// pending wait for their deny; written are denied ones, by any writer.
	pending, written []lease.Lease
	// riders were tried a moment ago and are not due again. IAM may have taken
	// their deny all the same, if its answer was lost: what is written now must
	// hold them too, where there is room.
	riders []lease.Lease
	// deleted are policies known not to exist any more.
	deleted  map[string]bool
	madeRoom bool
	err      error // of mine
}

// gather reads from the ledger what there is to do for the role. mine are
// pending even where the ledger could not be brought to say so.
func (g *group) gather(ctx context.Context, mine []lease.Lease) error {
	var err error
	if g.writer, err = g.r.ledger.Writer(); err != nil { //nolint:contextcheck // a name that is there is read at once; making one is bounded by itself
		return err
	}
	leases, _, err := g.r.ledger.List(ctx)
	if err != nil {
		return err
	}
	for _, le := range leases {
		if le.RoleARN != g.role || le.Revoke == roles.RevokeLocal || g.seen[le.ID] {
			continue
		}
		waits := le.State == lease.Closing || le.State == lease.Unrevoked && g.due(le)
		switch {
		case le.State == lease.Denied:
			g.seen[le.ID] = true
			if le.Writer != "" {
				g.written = append(g.written, le)
			}
			if g.mine[le.ID] {
				g.rep.found(le, settledAs(le), nil)
			}
		case !waits && !g.mine[le.ID]:
			if le.State == lease.Unrevoked && le.LastReason != ReasonOverflow && g.r.check(le) == nil {
				g.riders = append(g.riders, le)
			}
		case g.r.check(le) != nil:
			g.seen[le.ID] = true
			g.fail(ctx, le, ReasonInvalid, g.r.check(le))
		default:
			g.seen[le.ID] = true
			g.pending = append(g.pending, le)
		}
	}
	for _, le := range mine {
		if !g.seen[le.ID] && le.Revoke != roles.RevokeLocal {
			g.pending = append(g.pending, le)
		}
	}
	return nil
}

// run writes the denies. Every pending lease ends in the report.
func (g *group) run(ctx context.Context) {
	g.lapse(ctx)
	if len(g.pending) == 0 {
		return
	}
	var err error
	if g.iam, err = g.r.connect(ctx, g.role); err != nil {
		g.failAll(ctx, err)
		return
	}
	// Only a help to find the policies again; denying goes on without.
	if err := g.r.ledger.RememberRole(g.role); err != nil {
		g.rep.Errors = append(g.rep.Errors, err)
	}
	for range maxRounds {
		if len(g.pending) == 0 {
			return
		}
		if g.size() > g.r.maxChars {
			if !g.madeRoom {
				if err := g.makeRoom(ctx); err != nil {
					g.failAll(ctx, err)
					return
				}
			}
			g.trim(ctx)
		}
		for _, window := range g.windows() {
			if err := g.write(ctx, window); err != nil {
				g.failAll(ctx, err)
				return
			}
		}
	}
	g.failAll(ctx, fault.New(fault.Passing, "deny sessions of role", g.role, errors.New("the clock keeps moving"), ""))
}

// windows lists the windows of the pending leases, the latest first: what can
// be used longest is denied first.
func (g *group) windows() []string {
	var ws []string
	for _, le := range g.pending {
		ws = append(ws, g.r.clock.window(le))
	}
	slices.Sort(ws)
	ws = slices.Compact(ws)
	slices.Reverse(ws)
	return ws
}

// write puts the policy of one window, with what is in it and what is pending
// for it. An error ends the commit; a full role does not.
func (g *group) write(ctx context.Context, window string) error {
	in := g.pendingIn(window)
	if len(in) == 0 { // moved to a later window since the round was planned
		return nil
	}
	err := g.put(ctx, window, in)
	if errors.Is(err, ErrLimit) && !g.madeRoom {
		if err := g.makeRoom(ctx); err != nil {
			return err
		}
		if in = g.pendingIn(window); len(in) == 0 {
			return nil
		}
		err = g.put(ctx, window, in)
	}
	if errors.Is(err, ErrLimit) {
		return g.fit(ctx, window, in)
	}
	return err
}

// put writes one window's policy with these pending leases and records them as
// denied.
func (g *group) put(ctx context.Context, window string, in []lease.Lease) error {
	var entries []Entry
	for _, le := range g.writtenIn(window) {
		// A record that was tampered with must not reach the policy, nor keep
		// the others from being denied.
		if g.r.check(le) == nil {
			entries = append(entries, Entry{le.SessionName})
		}
	}
	riders := g.riders
	if g.size()+documentSize(riders) > g.r.maxChars {
		riders = nil
	}
	in = slices.Concat(in, riders)
	for _, le := range in {
		entries = append(entries, Entry{le.SessionName})
	}
	doc, err := Document(entries)
	if err != nil {
		return fault.New(fault.Passing, "deny sessions of role", g.role, errors.Join(ErrLimit, err), "")
	}
	g.rep.Puts++
	at, err := g.iam.PutRolePolicy(ctx, g.role, PolicyName(g.writer, window), doc)
	g.r.clock.learn(at)
	if errors.Is(err, ErrNotFound) {
		g.roleGone(ctx)
		return nil
	}
	if errors.Is(err, ErrLimit) && len(riders) > 0 {
		g.riders = nil
		return g.put(ctx, window, in[:len(in)-len(riders)])
	}
	if err != nil {
		return err
	}
	g.mark(ctx, in, window)
	return nil
}

func (g *group) pendingIn(window string) []lease.Lease {
	var in []lease.Lease
	for _, le := range g.pending {
		if g.r.clock.window(le) == window {
			in = append(in, le)
		}
	}
	return in
}

// writtenIn are the denied leases in this writer's own policy of a window.
func (g *group) writtenIn(window string) []lease.Lease {
	var in []lease.Lease
	for _, le := range g.written {
		if le.Writer == g.writer && le.Window == window {
			in = append(in, le)
		}
	}
	return in
}

func (g *group) drop(id string) {
	is := func(le lease.Lease) bool { return le.ID == id }
	g.pending = slices.DeleteFunc(g.pending, is)
	g.riders = slices.DeleteFunc(g.riders, is)
}
