package revoke

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"envrole/roles/fault"
	"envrole/roles/lease"
)

// size estimates what the role's policies come to with all pending leases in
// them. It knows this ledger's documents only; IAM has the last word.
func (g *group) size() int {
	policies := map[string][]lease.Lease{}
	for _, le := range g.written {
		name := PolicyName(le.Writer, le.Window)
		policies[name] = append(policies[name], le)
	}
	for _, le := range g.pending {
		name := PolicyName(g.writer, g.r.clock.window(le))
		policies[name] = append(policies[name], le)
	}
	n := 0
	for name, in := range policies {
		if !g.deleted[name] {
			n += documentSize(in)
		}
	}
	return n
}

// makeRoom deletes the windows that are well past, anybody's, and forgets the
// leases that are over by AWS's clock, so that the next put leaves them out.
func (g *group) makeRoom(ctx context.Context) error {
	g.madeRoom = true
	if _, err := g.r.tidy(ctx, g.iam, g.role, g.rep, g.deleted); err != nil {
		return err
	}
	g.lapse(ctx)
	g.written = slices.DeleteFunc(g.written, func(le lease.Lease) bool {
		return g.r.clock.over(le) && g.r.forget(ctx, le, g.rep)
	})
	return nil
}

// trim gives up the pending leases that do not fit, the soonest-expiring first.
// What is written already stays.
func (g *group) trim(ctx context.Context) {
	order := slices.Clone(g.pending)
	slices.SortStableFunc(order, func(a, b lease.Lease) int { return a.ExpiresAt.Compare(b.ExpiresAt) })
	total := len(order)
	for _, le := range order {
		if g.size() <= g.r.maxChars {
			return
		}
		g.fail(ctx, le, ReasonOverflow, overflow(total))
	}
}

func overflow(waiting int) error {
	return fault.New(fault.Passing, "deny session", "", fmt.Errorf("%w: no room for all of %d sessions", ErrLimit, waiting), "")
}

// fit finds by halving how many of the window's pending leases IAM takes, the
// latest-expiring first. All of them together are known to be too many.
func (g *group) fit(ctx context.Context, window string, in []lease.Lease) error {
	slices.SortStableFunc(in, func(a, b lease.Lease) int { return b.ExpiresAt.Compare(a.ExpiresAt) })
	done, tooMany := 0, len(in)
	for tooMany-done > 1 {
		middle := (done + tooMany) / 2
		err := g.put(ctx, window, in[done:middle])
		switch {
		case err == nil:
			done = middle
		case errors.Is(err, ErrLimit):
			tooMany = middle
		default:
			return err
		}
		if len(g.pending) == 0 { // the role went away
			return nil
		}
	}
	for _, le := range in[done:] {
		g.fail(ctx, le, ReasonOverflow, overflow(len(in)))
	}
	return nil
}

// due says whether an unrevoked lease is tried again now: not by every cleanup
// of a busy host within the same minute.
func (g *group) due(le lease.Lease) bool { return g.r.due(le) }

const retryAfter = time.Minute

func (r *Revoker) due(le lease.Lease) bool {
	age := r.now().Sub(le.AttemptedAt)
	return age < 0 || age >= retryAfter
}

// tidy deletes the role's deny policies that are well past by AWS's clock; the
// caller holds the role's lock. It gives how many of ours are left.
func (r *Revoker) tidy(ctx context.Context, c IAM, role string, rep *Report, deleted map[string]bool) (left int, err error) {
	rep.Lists++
	names, at, err := c.ListRolePolicies(ctx, role)
	r.clock.learn(at)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if _, _, ours := ParsePolicyName(name); !ours {
			continue
		}
		if at.IsZero() || !WellPast(name, at) {
			left++
			continue
		}
		rep.Deletes++
		if err := c.DeleteRolePolicy(ctx, role, name); err != nil && !errors.Is(err, ErrNotFound) {
			return left, err
		}
		deleted[name] = true
		rep.Deleted = append(rep.Deleted, Policy{Role: role, Name: name})
	}
	return left, nil
}
