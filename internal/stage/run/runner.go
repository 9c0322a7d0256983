package run

import (
	"context"
	"time"

	"envrole/executor"
	"envrole/roles/lease"
)

// runnerEvery is how often a stage looks whether its runner still lives.
const runnerEvery = 2 * time.Second

// withRunner is ctx, which also ends when the runner's process certainly has. It
// was killed then: nobody reads the log, nobody would end the script, and no
// sweep takes its session back while a stage holds the lease.
func withRunner(ctx context.Context, w *lease.Watch) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		defer w.Close()
		tick := time.NewTicker(runnerEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if le, err := w.Get(); err == nil && w.OwnerGone(le) {
				cancel(executor.ErrRunnerGone)
				return
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}
