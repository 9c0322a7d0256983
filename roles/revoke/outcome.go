package revoke

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"envrole/roles/fault"
	"envrole/roles/lease"
)

// maxErrorText bounds what is recorded of an error, in bytes.
const maxErrorText = 1000

// errLater means that a lease's expiry grew while its deny was being written.
var errLater = errors.New("belongs to a later window")

// markers is how many records are written at once: the file system commits
// concurrent syncs together, and others wait for the role's lock meanwhile.
const markers = 8

// mark records that these leases' denies are in the window's policy. A lease
// that by now belongs to a later window stays pending.
func (g *group) mark(ctx context.Context, in []lease.Lease, window string) {
	ctx, cancel := record(ctx)
	defer cancel()
	now, errs := make([]lease.Lease, len(in)), make([]error, len(in))
	var wg sync.WaitGroup
	turn := make(chan struct{}, markers)
	for i, le := range in {
		turn <- struct{}{}
		wg.Go(func() {
			now[i], errs[i] = g.recordDeny(ctx, le.ID, window)
			<-turn
		})
	}
	wg.Wait()
	for i, le := range in {
		g.marked(le, now[i], errs[i], window)
	}
}

func (g *group) recordDeny(ctx context.Context, id, window string) (lease.Lease, error) {
	return g.r.ledger.Update(ctx, id, func(le *lease.Lease) error {
		if le.State == lease.Denied {
			return nil
		}
		if g.r.clock.window(*le) > window {
			return errLater
		}
		le.State, le.DeniedAt = lease.Denied, g.r.now().UTC()
		le.Writer, le.Window = g.writer, window
		le.LastError, le.LastReason = "", ""
		return nil
	})
}

// marked takes in how the recording of one lease's deny went.
func (g *group) marked(le, now lease.Lease, err error, window string) {
	if errors.Is(err, errLater) {
		// Keep the raised expiry for the next round.
		if i := slices.IndexFunc(g.pending, func(p lease.Lease) bool { return p.ID == le.ID }); i >= 0 {
			g.pending[i] = now
		}
		return
	}
	g.drop(le.ID)
	if err != nil {
		// AWS refuses the session; only the ledger does not know. The lease
		// stays as it is, and the next sweep writes the same again. Until
		// then it must stay in what this commit writes.
		le.Writer, le.Window = g.writer, window
		g.written = append(g.written, le)
		err = fault.New(fault.Internal, "record the deny of lease", le.ID, err, fault.HelpOf(err))
		g.rep.add(le, Denied, err)
		g.keep(le, err)
		return
	}
	g.written = append(g.written, now)
	g.rep.add(now, settledAs(now), nil)
}

// fail records that a lease could not be denied.
func (g *group) fail(ctx context.Context, le lease.Lease, reason string, cause error) {
	ctx, cancel := record(ctx)
	defer cancel()
	text := strings.ToValidUTF8(cause.Error(), "?")
	if len(text) > maxErrorText {
		text = strings.ToValidUTF8(text[:maxErrorText], "")
	}
	now, err := g.r.ledger.Update(ctx, le.ID, func(le *lease.Lease) error {
		if le.State != lease.Closing && le.State != lease.Unrevoked {
			return nil
		}
		le.State = lease.Unrevoked
		le.Attempts++
		le.AttemptedAt = g.r.now().UTC()
		le.LastError, le.LastReason = text, reason
		return nil
	})
	g.drop(le.ID)
	shown := explain(g.role, reason, cause)
	switch {
	case err != nil:
		now = le
		shown = errors.Join(shown, err)
	case now.State == lease.Denied: // somebody else did it
		g.rep.found(now, settledAs(now), nil)
		return
	}
	g.rep.add(now, Unrevoked, shown)
	g.keep(le, shown)
}

// keep remembers the first error of the caller's own leases: the others of the
// role mostly say the same.
func (g *group) keep(le lease.Lease, err error) {
	if g.mine[le.ID] && g.err == nil {
		g.err = err
	}
}

func (g *group) failAll(ctx context.Context, err error) {
	reason := reasonOf(err)
	for _, le := range slices.Clone(g.pending) {
		g.fail(ctx, le, reason, err)
	}
}

// roleGone settles all pending leases: a deleted role takes its sessions with
// it, and a new one of the same name has another id.
func (g *group) roleGone(ctx context.Context) {
	ctx, cancel := record(ctx)
	defer cancel()
	for _, le := range slices.Clone(g.pending) {
		now, err := g.r.settle(ctx, le, lease.NoteRoleGone)
		if err != nil {
			g.fail(ctx, le, ReasonOther, err)
			continue
		}
		g.drop(le.ID)
		g.rep.add(now, RoleGone, nil)
	}
}

// lapse forgets pending leases whose session is over by now.
func (g *group) lapse(ctx context.Context) {
	for _, le := range slices.Clone(g.pending) {
		if g.r.clock.over(le) && g.r.forget(ctx, le, g.rep) {
			g.drop(le.ID)
		}
	}
}

var errNotOver = errors.New("the session may still be valid")

// forget removes a lease that is over from the ledger.
func (r *Revoker) forget(ctx context.Context, le lease.Lease, rep *Report) bool {
	ctx, cancel := record(ctx)
	defer cancel()
	last, err := r.ledger.Expire(ctx, le.ID, func(now lease.Lease) error {
		if now.State == lease.Asked || now.State == lease.Lent || !r.forgettable(now) {
			return errNotOver
		}
		return nil
	})
	switch {
	case errors.Is(err, lease.ErrNotFound):
		return true
	case errors.Is(err, errNotOver):
		return false
	case err != nil:
		rep.Errors = append(rep.Errors, fmt.Errorf("forget lease: %w", err))
		return false
	}
	if last.State == lease.Denied {
		rep.add(last, Expired, nil)
	} else {
		rep.add(last, Lapsed, nil)
	}
	return true
}

// forgettable: where AWS holds nothing for a lease, the host's clock decides.
func (r *Revoker) forgettable(le lease.Lease) bool {
	if le.State == lease.Denied && le.Writer == "" {
		return r.clock.ripe(le)
	}
	return r.clock.over(le)
}
