package admin

import (
	"context"
	"errors"
	"io"
	"strings"

	"envrole/executor"
	"envrole/internal/bases"
	"envrole/internal/stage"
	"envrole/roles/lease"
	"envrole/roles/settings"
)

// sweepBases has every base that keeps something for jobs remove what belongs to
// dead ones, the configured one first: what is configured today is not what the
// dead job had.
func sweepBases(ctx context.Context, set bases.Set, conf *settings.Settings, ledger *lease.Ledger, log io.Writer) error {
	configured, err := set.Named(conf.Executor.Base)
	if err != nil {
		return err
	}
	errs := []error{sweepBase(ctx, configured, conf, ledger, log)}
	for _, base := range set {
		if base.Table().Name == conf.Executor.Base {
			continue
		}
		// Most hosts have no Engine, and that is no finding. Everything else is:
		// something of a dead job may have stayed.
		if err := sweepBase(ctx, base, conf, ledger, log); !errors.Is(err, executor.ErrElsewhere) && !errors.Is(err, executor.ErrUnreached) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func sweepBase(ctx context.Context, base executor.Base, conf *settings.Settings, ledger *lease.Ledger, log io.Writer) error {
	s, ok := base.(executor.Sweeper)
	if !ok {
		return nil
	}
	job := executor.Job{StateDir: conf.State.Dir, Values: conf.Executor.Tables[base.Table().Name], PassEnv: conf.Executor.PassEnv}
	return s.Sweep(ctx, job, stage.Alive(ledger), sayer{log})
}

// sayer writes each line as EnvRole's own.
type sayer struct{ w io.Writer }

func (s sayer) Write(line []byte) (int, error) {
	stage.Say(s.w, "%s", strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}
