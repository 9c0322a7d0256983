package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"envrole/executor"
)

// Engine is what carries plans out: the program that links the Engine's client
// gives it to New. Neither function does I/O before its result is used.
type Engine struct {
	// Open makes the executor of a plan. Of a plan of Lost only Cleanup is
	// called: it removes everything with the labels LabelHost and LabelJob.
	Open func(Plan) executor.Executor
	// Sweep removes what carries LabelHost of the plan and a LabelLease that
	// alive denies, and says on log what it removed. p is a plan without a job.
	Sweep func(ctx context.Context, p Plan, alive func(leaseID string) bool, log io.Writer) error
}

// Base is the base executor "docker".
type Base struct {
	engine  Engine
	environ func(string) (string, bool) // os.LookupEnv
}

// A Base is what the stages know of this executor.
var (
	_ executor.Base    = (*Base)(nil)
	_ executor.Sweeper = (*Base)(nil)
)

// New makes the base. With the zero Engine it plans and judges jobs, but runs
// none: Open gives executor.ErrElsewhere.
func New(engine Engine) *Base { return &Base{engine: engine, environ: os.LookupEnv} }

// Announce implements executor.Base. What a job may not ask for is refused
// here, before anything else is done for it.
func (b *Base) Announce(_ context.Context, j executor.Job, log io.Writer) (executor.Announcement, error) {
	_, notes, err := readWanted(j, b.environ)
	if err != nil {
		return executor.Announcement{}, err
	}
	for _, note := range notes {
		if _, err := fmt.Fprintln(log, "envrole: "+note); err != nil {
			return executor.Announcement{}, err
		}
	}
	shared := false // no other job has the volume meanwhile
	return executor.Announcement{
		Driver:    "docker",
		BuildsDir: j.Values.Text(keyBuilds), CacheDir: j.Values.Text(keyCache), BuildsDirIsShared: &shared,
		Shell: j.Values.Text(keyShell),
	}, nil
}

// Plan implements executor.Base.
func (b *Base) Plan(_ context.Context, j executor.Job) (json.RawMessage, error) {
	p, _, err := makePlan(j, b.environ)
	if err != nil {
		return nil, err
	}
	return json.Marshal(p)
}

// Open implements executor.Base.
func (b *Base) Open(plan json.RawMessage) (executor.Executor, error) {
	if b.engine.Open == nil {
		return nil, executor.ErrElsewhere
	}
	var p Plan
	if err := json.Unmarshal(plan, &p); err != nil {
		return nil, fmt.Errorf("read the plan of a docker job: %w", err)
	}
	return b.engine.Open(p), nil
}

// Lost implements executor.Base.
func (b *Base) Lost(j executor.Job) (executor.Executor, error) {
	if b.engine.Open == nil {
		return nil, executor.ErrElsewhere
	}
	return b.engine.Open(bare(j)), nil
}

// Sweep implements executor.Sweeper.
func (b *Base) Sweep(ctx context.Context, j executor.Job, alive func(string) bool, log io.Writer) error {
	if b.engine.Sweep == nil {
		return executor.ErrElsewhere
	}
	return b.engine.Sweep(ctx, bare(j), alive, log)
}
