package prepare

import (
	"context"
	"time"

	"envrole/internal/audit"
	"envrole/internal/revoker"
	"envrole/internal/stage"
	"envrole/internal/stage/report"
	"envrole/roles/revoke"
)

const (
	// leftovers is how many leases of dead jobs a prepare settles on its way.
	leftovers = 5
	// sweepPatience is how long a job waits for the sweep once its own work is
	// done: leftovers are the next one's business too.
	sweepPatience = 2 * time.Second
)

// sweepAlongside settles a few leases of dead jobs while the job is prepared.
// What it gives waits for the end, but not long.
func (p *preparation) sweepAlongside(ctx context.Context) (wait func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		rep, err := revoker.New(p.conf, p.ledger, revoker.Configured(p.conf)).Sweep(ctx, revoke.SweepOptions{Limit: leftovers})
		// Another job's leftovers are no business of this one's author: what
		// goes wrong with them is for the audit log alone.
		// A sweep that this job would not wait for any longer has not failed: what
		// it had in hand stands in its report.
		if err != nil && ctx.Err() == nil {
			_ = p.log.Event(audit.SweepFailed, audit.Fields{"reason": stage.Printable(err.Error())})
		}
		_ = report.Audit(p.log, rep)
		_ = report.RemoveSockets(p.ledger, rep)
	}()
	return func() {
		timer := time.AfterFunc(sweepPatience, cancel)
		<-done
		timer.Stop()
		cancel()
	}
}
