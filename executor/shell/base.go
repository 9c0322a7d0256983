package shell

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"envrole/executor"
	"envrole/roles/fault"
	"envrole/roles/settings/schema"
)

var _ executor.Base = Base{}

// Base is the shell base: scripts run with a shell on the runner's own host.
type Base struct{}

// Table implements executor.Base.
func (Base) Table() schema.Table { return Table() }

// Announce implements executor.Base.
func (Base) Announce(_ context.Context, job executor.Job, _ io.Writer) (executor.Announcement, error) {
	p, err := NewPlan(optionsOf(job))
	if err != nil {
		return executor.Announcement{}, err
	}
	// The runner then adds its own token and slot below the directory, so that
	// two jobs of one project never share a checkout at the same time.
	shared := true
	return executor.Announcement{
		BuildsDir: p.BuildsDir, CacheDir: p.CacheDir, BuildsDirIsShared: &shared,
		// The runner writes scripts for bash or pwsh; its bash scripts run
		// under sh too, and it picks the interpreter in the shebang itself.
		Shell: job.Values.Text("shell"),
	}, nil
}

// Plan implements executor.Base.
func (Base) Plan(ctx context.Context, job executor.Job) (json.RawMessage, error) {
	o := optionsOf(job)
	p, err := NewPlan(o)
	if err != nil {
		return nil, err
	}
	if p.Leased {
		// Last of all: what fails above leaves no user taken.
		pool, err := resolveUsers(o.Settings.Users, os.Geteuid())
		if err != nil {
			return nil, err
		}
		who, err := takeUser(ctx, job, pool, p.JobDir)
		if err != nil {
			return nil, err
		}
		o.Leased = &who
		if p, err = NewPlan(o); err != nil {
			return nil, err
		}
	}
	return json.Marshal(p)
}

func optionsOf(job executor.Job) Options {
	return Options{
		Settings: ReadSettings(job.Values), PassEnv: job.PassEnv,
		ProjectID: job.ProjectID, RefProtected: job.RefProtected, LeaseID: job.LeaseID,
		StateDir: job.StateDir, Private: job.Private,
	}
}

// MayLend implements executor.Base.
func (Base) MayLend(ctx context.Context, job executor.Job, plan json.RawMessage, authority []string) error {
	p, err := decode(plan)
	if err != nil {
		return err
	}
	s := ReadSettings(job.Values)
	if p.JobDir != "" {
		authority = append(authority, filepath.Dir(p.JobDir)) // whoever writes there puts files into others' jobs
	}
	if err := Trust(p, s, append(authority, p.Shell)); err != nil {
		return err
	}
	if s.Metadata == MetadataAllow {
		return nil
	}
	reachable, err := ProbeMetadata(ctx, p, job.StateDir)
	if err != nil {
		return err
	}
	if len(reachable) > 0 {
		return fault.New(fault.Refused, "lend a role to", "jobs of user "+p.User,
			fmt.Errorf("jobs on this host can reach the instance metadata service (%s), and with it the runner's own role", strings.Join(reachable, ", ")),
			"The administrator blocks it for the job's user (packaging/envrole-metadata.nft does), or writes metadata = \"allow\" into [executor.shell] to accept it.")
	}
	return nil
}

// Open implements executor.Base.
func (Base) Open(plan json.RawMessage) (executor.Executor, error) {
	p, err := decode(plan)
	if err != nil {
		return nil, err
	}
	return New(p), nil
}

// Lost implements executor.Base.
func (Base) Lost(job executor.Job) (executor.Executor, error) {
	// Which user the job had is written down: users may have changed since.
	t, err := book{usersPath(job.StateDir)}.find(job.LeaseID)
	if t != nil {
		return New(t.plan(job.StateDir)), nil
	}
	s := ReadSettings(job.Values)
	if err != nil {
		return nil, err
	}
	if len(s.Users) > 0 {
		return nothing{}, nil // it has none any more, or never had
	}
	p, err := CleanupPlan(s, job.LeaseID)
	if err != nil {
		return nil, err
	}
	return New(p), nil
}

func decode(plan json.RawMessage) (Plan, error) {
	var p Plan
	if err := json.Unmarshal(plan, &p); err != nil {
		return Plan{}, fault.New(fault.Internal, "read plan of", "shell base", errors.New("it is not what prepare wrote"), "")
	}
	return p, nil
}

// JobUser implements executor.LocalUser.
func (e *Executor) JobUser() (user executor.User, other bool) {
	return executor.User{UID: e.plan.UID, GID: e.plan.GID, Groups: e.plan.Groups}, e.plan.SwitchUser
}
