package driver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"envrole/executor"
)

var (
	_ executor.Base    = Base{}
	_ executor.Unnamed = Base{}
)

// Base wraps the driver that [executor.driver] names. The zero value is ready.
type Base struct{}

var errNoLease = errors.New("plan a job of the wrapped driver: no lease id")

// Announce implements executor.Base: it runs config_exec, if there is one, and
// gives on what that wrote. Its errors are an *executor.StageError, a passing
// fault if config_exec was killed, a permanent one for names that the wrapped
// driver must not use, and an internal one for JSON that is none.
func (Base) Announce(ctx context.Context, job executor.Job, log io.Writer) (executor.Announcement, error) {
	p := planOf(job)
	if len(p.Config) == 0 {
		return executor.Announcement{}, nil
	}
	out := &bounded{left: maxConfig}
	c := command{what: "config", argv: p.Config, env: p.environ()}
	if err := c.run(ctx, out, log, nil); err != nil {
		return executor.Announcement{}, err
	}
	return announcement(out)
}

// Plan implements executor.Base. It goes by nothing but the configuration, and
// fails, permanently, if a program of the driver is not there. On its way it
// removes the script copies of dead jobs: the sweep of a timer may see another
// /tmp than the runner.
func (Base) Plan(ctx context.Context, job executor.Job) (json.RawMessage, error) {
	if job.LeaseID == "" {
		return nil, errNoLease
	}
	p := planOf(job)
	if err := p.startable(); err != nil {
		return nil, err
	}
	if job.Alive != nil {
		_ = sweepRecords(ctx, job.StateDir, job.Alive, io.Discard) // no business of this job; `envrole sweep` says it
	}
	raw, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("plan a job of the wrapped driver: %w", err)
	}
	return raw, nil
}

// Open implements executor.Base.
func (Base) Open(raw json.RawMessage) (executor.Executor, error) {
	p, err := openPlan(raw)
	if err != nil {
		return nil, err
	}
	return &Executor{plan: p}, nil
}

// Lost implements executor.Base: what can be done for such a job is the wrapped
// driver's own cleanup, by today's configuration.
func (Base) Lost(job executor.Job) (executor.Executor, error) {
	return &Executor{plan: planOf(job)}, nil
}

// Unnamed implements executor.Unnamed: the runner calls a driver's cleanup even
// if its config failed.
func (b Base) Unnamed(job executor.Job) (executor.Executor, error) { return b.Lost(job) }
