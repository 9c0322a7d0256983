package admin

import (
	"context"
	"io"
	"strings"

	"envrole/executor"
	"envrole/internal/bases/full"
	"envrole/internal/stage"
	"envrole/roles/lease"
	"envrole/roles/settings"
)

// sweepBase has the configured base, if it keeps something for jobs, remove what
// belongs to dead ones.
func sweepBase(ctx context.Context, conf *settings.Settings, ledger *lease.Ledger, log io.Writer) error {
	base, err := full.Set().Named(conf.Executor.Base)
	if err != nil {
		return err
	}
	s, ok := base.(executor.Sweeper)
	if !ok {
		return nil
	}
	job := executor.Job{StateDir: conf.State.Dir, Values: conf.Executor.Table(), PassEnv: conf.Executor.PassEnv}
	return s.Sweep(ctx, job, stage.Alive(ledger), sayer{log})
}

// sayer writes each line as EnvRole's own.
type sayer struct{ w io.Writer }

func (s sayer) Write(line []byte) (int, error) {
	stage.Say(s.w, "%s", strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}
