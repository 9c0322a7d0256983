package admin

import (
	"context"
	"errors"
	"io"
	"time"

	"envrole/executor"
	"envrole/internal/bases/full"
	"envrole/roles/lease"
	"envrole/roles/settings"
)

// sweepBase has the configured base remove what dead jobs left in it.
func sweepBase(ctx context.Context, conf *settings.Settings, ledger *lease.Ledger, log io.Writer) error {
	base, err := full.Set().Named(conf.Executor.Base)
	if err != nil {
		return err
	}
	sweeper, ok := base.(executor.Sweeper)
	if !ok {
		return nil
	}
	j := executor.Job{StateDir: conf.State.Dir, Values: conf.Executor.Table(), PassEnv: conf.Executor.PassEnv}
	return sweeper.Sweep(ctx, j, func(id string) bool { return alive(ledger, id) }, log)
}

// alive says whether the job of a lease id may still run. Prepare seals what the
// later stages need before the base makes anything, and cleanup removes it: a
// job without it is over. One that was lent nothing has no lease beside it, and
// is given up with its sealed state, after its deadline. What cannot be read
// counts as alive.
func alive(ledger *lease.Ledger, id string) bool {
	if _, err := ledger.ReadSealed(id); errors.Is(err, lease.ErrNotFound) || !lease.ValidID(id) {
		return false
	}
	le, err := ledger.Get(id)
	if err != nil {
		return true
	}
	dead, _ := ledger.Dead(le, time.Now())
	return !dead
}
