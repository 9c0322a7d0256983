package prepare

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"envrole/executor/job"
	"envrole/internal/audit"
	"envrole/internal/crash"
	"envrole/internal/handover"
	"envrole/internal/stage"
	"envrole/internal/stage/refresh"
	"envrole/roles"
	"envrole/roles/fault"
	"envrole/roles/lease"
	"envrole/roles/session"
)

// lend asks STS for the session of a decision. The lease is on disk before STS
// is asked: whatever dies from then on, the next cleanup or sweep knows the
// session's name.
func (p *preparation) lend(ctx context.Context, d roles.Decision) (*handover.Session, error) {
	if err := p.allowed(ctx, d); err != nil {
		return nil, err
	}
	tags, err := session.Tags(p.facts)
	if err != nil {
		return nil, err
	}
	if err := p.askPolicy(ctx, d); err != nil {
		return nil, err
	}
	name, err := session.NewName(p.facts.JobID)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, p.conf.AWS.Timeout)
	defer cancel()
	base, err := session.LoadBase(ctx, d.Grant.Region)
	if err != nil {
		return nil, err
	}
	// A runner without credentials of its own is found out before there is a
	// lease: nothing was asked of STS that would have to be revoked.
	if err := base.Ready(ctx); err != nil {
		return nil, err
	}
	req := session.Request{Grant: d.Grant, Name: name, Tags: tags, JobTimeout: p.payload.Timeout}
	if err := p.writeLease(ctx, base, req, d); err != nil {
		return nil, err
	}
	crash.Point("lease-written")
	asked, start := handover.Now(p.ledger.Host().Uptime), time.Now()
	lent, err := base.Lend(ctx, req)
	took := time.Since(start)
	crash.Point("sts-answered")
	if err != nil {
		return nil, p.notLent(ctx, err)
	}
	if err := p.markLent(ctx, lent); err != nil {
		return nil, err
	}
	crash.Point("lease-lent")
	if err := p.auditLent(d, lent, took); err != nil {
		return nil, err
	}
	p.tellLent(d, lent)
	p.renewal = &handover.Renewal{Grant: req.Grant, Tags: refresh.Tags(tags)}
	kept := refresh.Fresh(lent, asked)
	kept.Region, kept.RoleARN, kept.Name, kept.Delivery = lent.Region, lent.RoleARN, lent.Name, d.Grant.Delivery
	kept.Environment, kept.SubStages = p.facts.Environment.Value, d.Rule.SubStages
	return &kept, nil
}

// allowed checks what does not depend on AWS: variables that would hide the
// session, and a base that cannot keep the runner's own credentials from jobs.
func (p *preparation) allowed(ctx context.Context, d roles.Decision) error {
	if names := job.Shadowing(os.Environ()); len(names) > 0 {
		err := fault.New(fault.Refused, "lend role", d.Grant.RoleARN,
			fmt.Errorf("the CI/CD variables %s would hide its session from the job's tools", strings.Join(names, ", ")),
			"Remove these variables from .gitlab-ci.yml, the project, its groups and the pipeline: EnvRole sets what the job needs. "+
				"(An administrator can make this a warning: shadowing = \"warn\".)")
		if d.Grant.Shadowing != roles.ShadowingWarn {
			return err
		}
		stage.Say(p.call.Stdout, "warning: %v", err)
	}
	return p.base.MayLend(ctx, p.baseJob, p.plan, p.authority())
}

// authority is every path that decides what a job may do: none may be writable
// by the job's user. The other programs of the driver are looked for beside this
// one, where `make install` puts them.
func (p *preparation) authority() []string {
	paths := []string{p.conf.File, p.conf.State.Dir}
	if ca := p.conf.GitLab.CAFile; ca != "" { // whoever writes it can answer for GitLab
		paths = append(paths, ca)
	}
	if len(p.conf.Policy.Command) > 0 {
		paths = append(paths, p.conf.Policy.Command[0])
	}
	exe, err := os.Executable()
	if err != nil {
		return paths
	}
	paths = append(paths, exe)
	for _, name := range []string{"envrole", "envrole-config", "envrole-prepare", "envrole-run", "envrole-cleanup"} {
		paths = append(paths, filepath.Join(filepath.Dir(exe), name))
	}
	return paths
}

func (p *preparation) writeLease(ctx context.Context, base *session.Base, req session.Request, d roles.Decision) error {
	owner, err := lease.FindOwner(p.handed.Owner)
	if err != nil {
		// The lease then ends at its deadline instead of with its runner.
		stage.Say(p.call.Stdout, "warning: %v", err)
	}
	now := time.Now()
	return p.ledger.Create(ctx, lease.Lease{
		ID: p.handed.LeaseID, State: lease.Asked,
		JobID: p.facts.JobID, ProjectID: p.facts.ProjectID, PipelineID: p.facts.PipelineID,
		Project: p.facts.ProjectPath.Value, Environment: p.facts.Environment.Value, JobURL: p.facts.JobURL,
		Rule: d.Rule.Name, RoleARN: req.Grant.RoleARN, Region: req.Grant.Region, SessionName: req.Name,
		Revoke: req.Grant.Revoke, AskedAt: now, ExpiresAt: base.LatestExpiry(req, now), Deadline: p.deadline(), Owner: owner,
	})
}

// notLent settles the lease of a session that there certainly is not, because
// STS refused it or was never asked: there is nothing to revoke. After any other
// failure the session may exist, and the lease stays for cleanup.
func (p *preparation) notLent(ctx context.Context, cause error) error {
	switch fault.ClassOf(cause) {
	case fault.Permanent, fault.Refused: // see session.Base.Lend
	case fault.Passing, fault.Internal:
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ledgerTimeout)
	defer cancel()
	le, err := p.ledger.Expire(ctx, p.handed.LeaseID, func(le lease.Lease) error {
		if le.State != lease.Asked {
			return fmt.Errorf("lease is %s", le.State)
		}
		return nil
	})
	if err == nil {
		err = p.audit(audit.Void, audit.Fields{"role": le.RoleARN, "session": le.SessionName})
	}
	if err != nil {
		stage.Say(p.call.Stderr, "warning: %v", err)
	}
	return cause
}

// takenBack is the end of a prepare whose lease was closed by somebody else.
func takenBack(le *lease.Lease, when string) error {
	return fault.New(fault.Internal, "use lease", le.ID, fmt.Errorf("it became %s %s", le.State, when),
		"A cleanup, a sweep or an administrator took the session back; retry the job if it was not meant to end.")
}

// ledgerTimeout bounds a change of the ledger where the job's own context may
// have ended already.
const ledgerTimeout = 10 * time.Second

func (p *preparation) markLent(ctx context.Context, lent session.Session) error {
	_, err := p.ledger.Update(ctx, p.handed.LeaseID, func(le *lease.Lease) error {
		if le.State != lease.Asked {
			return takenBack(le, "while STS was asked")
		}
		le.State = lease.Lent
		le.AccessKeyID = lent.AccessKeyID
		if lent.Expiration.After(le.ExpiresAt) {
			le.ExpiresAt = lent.Expiration
		}
		return nil
	})
	return err
}
