// Package prepare is the prepare stage: the one place where a job's role is
// decided, before any of the job's code has run. It proves the environment,
// decides, writes the lease, asks STS, and seals what the later stages need.
package prepare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"envrole/executor"
	"envrole/executor/job"
	"envrole/internal/audit"
	"envrole/internal/crash"
	"envrole/internal/handover"
	"envrole/internal/stage"
	"envrole/internal/stage/setup"
	"envrole/roles"
	"envrole/roles/fault"
	"envrole/roles/lease"
	"envrole/roles/settings"
)

// Stage describes the program.
func Stage() stage.Stage {
	return stage.Stage{
		Name:  "envrole-prepare",
		About: "The prepare stage of EnvRole, a GitLab Runner custom executor driver.\nGitLab Runner calls it (prepare_exec in [runners.custom]) before a job's scripts; it decides which\nAWS role the job gets and asks AWS for the session.",
		Run:   run,
	}
}

// unknownTimeout stands in for a payload without runner_info.timeout: the
// longest that a session can last anyway.
const unknownTimeout = 12 * time.Hour

// preparation is one run of the stage: what it has learnt so far.
type preparation struct {
	call    stage.Call
	handed  stage.Handed
	conf    *settings.Settings
	ledger  *lease.Ledger
	log     *audit.Log
	payload *job.Payload
	facts   roles.Facts
	base    executor.Base
	baseJob executor.Job
	plan    json.RawMessage // the base's
	rule    *roles.Rule     // the rule that matched or refused, for the audit log
	proofs  proofs
	policy  audit.Fields      // what the site\'s policy said, if it was asked
	renewal *handover.Renewal // with a session: what it can be renewed with
}

func run(ctx context.Context, call stage.Call) error {
	p := &preparation{call: call}
	if err := p.settle(ctx); err != nil {
		return err
	}
	base, err := p.base.Open(p.plan)
	if errors.Is(err, executor.ErrElsewhere) {
		return call.Become("prepare")
	}
	if err != nil {
		return err
	}
	return base.Prepare(ctx, call.Stdout)
}

// settle decides, lends and seals: after it the job is as good as begun.
func (p *preparation) settle(ctx context.Context) (err error) {
	if err := p.begin(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.log.Close()) }()
	swept := p.sweepAlongside(ctx)
	defer swept()

	decision, err := p.decide(ctx)
	if err != nil {
		return p.refused(err)
	}
	state := handover.State{JobID: p.facts.JobID, Base: p.conf.Executor.Base, Plan: p.plan, Deadline: p.deadline()}
	if decision.Outcome == roles.Lend {
		state.Session, err = p.lend(ctx, decision)
		if err != nil {
			return p.refused(err)
		}
		state.Renewal = p.renewal
	} else {
		if err := p.withoutRole(decision); err != nil {
			return err
		}
	}
	if err := p.seal(ctx, state); err != nil {
		return err
	}
	crash.Point("sealed")
	return nil
}

// begin reads everything that needs no network.
func (p *preparation) begin(ctx context.Context) error {
	var err error
	if p.handed, err = stage.ReadHanded(); err != nil {
		return err
	}
	if p.conf, err = setup.Settings(p.call); err != nil {
		return err
	}
	if p.conf.State.Dir != p.handed.StateDir {
		return fault.New(fault.Internal, "compare [state] dir", p.conf.State.Dir,
			fmt.Errorf("the config stage of this job used %s", p.handed.StateDir),
			"The configuration changed between two stages of the job; retry it.")
	}
	if p.ledger, err = lease.Open(p.conf.State.Dir); err != nil {
		return err
	}
	if p.payload, err = job.ReadPayload(p.call.Runner.PayloadFile); err != nil {
		return err
	}
	if p.facts, err = setup.Facts(p.payload, p.conf); err != nil {
		return err
	}
	if p.base, err = p.call.Known().Named(p.conf.Executor.Base); err != nil {
		return err
	}
	p.baseJob = setup.BaseJob(p.call, p.conf, p.facts, p.handed.LeaseID)
	p.baseJob.Deadline, p.baseJob.Alive = p.deadline(), stage.Alive(p.ledger)
	// Where it is not known the job ends at its deadline; writeLease says so.
	owner, _ := lease.FindOwner(p.handed.Owner)
	p.baseJob.Runner = executor.Process{PID: owner.PID, Start: owner.StartTime}
	if p.plan, err = p.base.Plan(ctx, p.baseJob); err != nil {
		return err
	}
	p.log, err = audit.Open(p.conf.State.Dir)
	return err
}

// deadline is when the job must be over, whatever became of its runner: its
// timeout and a grace.
func (p *preparation) deadline() time.Time {
	timeout := p.payload.Timeout
	if timeout <= 0 {
		timeout = unknownTimeout
	}
	return time.Now().Add(timeout + handover.Grace)
}

// seal stores what the later stages need, readable with the job's key only. A
// session is stored under the lock of its lease and only while that is lent: a
// revocation closes the lease first, so nothing is stored behind its back.
func (p *preparation) seal(ctx context.Context, state handover.State) error {
	blob, err := handover.Seal(p.handed.Key, p.handed.LeaseID, state)
	if err != nil {
		return err
	}
	if state.Session == nil {
		return p.ledger.WriteSealed(p.handed.LeaseID, blob, state.Deadline)
	}
	_, err = p.ledger.Update(ctx, p.handed.LeaseID, func(le *lease.Lease) error {
		if le.State != lease.Lent {
			return takenBack(le, "before the job began")
		}
		return p.ledger.WriteSealed(p.handed.LeaseID, blob, state.Deadline)
	})
	return err
}

// refused writes down why the job gets nothing, and passes the error on.
func (p *preparation) refused(err error) error {
	event := audit.LendFailed
	if fault.ClassOf(err) == fault.Refused {
		event = audit.Refused
	}
	fields := audit.Fields{"reason": stage.Printable(err.Error()), "class": fault.ClassOf(err).String()}
	return errors.Join(err, p.audit(event, fields))
}

// audit writes one event with what is known of the job.
func (p *preparation) audit(event audit.Event, more audit.Fields) error {
	fields := audit.Fields{
		"lease": p.handed.LeaseID, "job": p.facts.JobID, "job_url": p.facts.JobURL,
		"project": p.facts.ProjectPath.Value, "project_id": p.facts.ProjectID,
		"environment": p.facts.Environment.Value, "environment_from": p.facts.Environment.From.String(),
		"ref": p.facts.Ref.Value, "user": p.facts.UserLogin.Value, "proof": p.conf.GitLab.Proof,
		"config": p.conf.Digest(),
	}
	if p.rule != nil {
		fields["rule"] = p.rule.Name
	}
	p.auditProofs(fields)
	for k, v := range more {
		fields[k] = v
	}
	return p.log.Event(event, fields)
}
