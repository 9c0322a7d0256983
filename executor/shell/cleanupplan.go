package shell

import (
	"context"
	"errors"
	"io"

	"envrole/executor"
)

// anyProject stands in for a project that is not known. Cleanup never looks at
// the directories that belong to it.
const anyProject = 1

// CleanupPlan is a plan for Cleanup alone, for a job of which nothing is left
// but its lease: its processes and its TMPDIR are found by the lease's id.
func CleanupPlan(s Settings, leaseID string) (Plan, error) {
	p, err := NewPlan(Options{Settings: s, ProjectID: anyProject, LeaseID: leaseID})
	p.Since = 0 // the job is older than this process
	return p, err
}

// plan is a plan for Cleanup alone, of a job that has a user for itself.
func (t tenancy) plan(stateDir string) Plan {
	return Plan{User: t.User, UID: t.UID, SwitchUser: true, Leased: true, StateDir: stateDir, JobDir: t.Dir, LeaseID: t.Lease}
}

// nothing is the executor of a job that left nothing behind.
type nothing struct{}

func (nothing) Prepare(context.Context, io.Writer) error { return errNothing }

func (nothing) Run(context.Context, executor.Script, []string, io.Writer) error { return errNothing }

func (nothing) Cleanup(context.Context, io.Writer, io.Writer) error { return nil }

var errNothing = errors.New("nothing is known of this job")
