// Package cleanup is the cleanup stage: it revokes the job's session, removes
// what the base made, and writes down how the lease ended. It works from the
// ledger alone if it must: without payload, temporary directory or job_env,
// twice, or beside a run that is still dying.
package cleanup

import (
	"context"
	"errors"

	"envrole/executor/shell"
	"envrole/internal/audit"
	"envrole/internal/crash"
	"envrole/internal/handover"
	"envrole/internal/revoker"
	"envrole/internal/stage"
	"envrole/roles/lease"
	"envrole/roles/revoke"
)

// Stage describes the program.
func Stage() stage.Stage {
	return stage.Stage{
		Name:  "envrole-cleanup",
		About: "The cleanup stage of EnvRole, a GitLab Runner custom executor driver.\nGitLab Runner calls it (cleanup_exec in [runners.custom]) when a job has ended; it revokes the job's\nsession. It may be called twice.",
		Run:   run,
	}
}

// leftovers is how many leases of dead jobs a cleanup settles besides its own;
// the rest is for the next one, and for `envrole sweep`.
const leftovers = 20

func run(ctx context.Context, call stage.Call) (err error) {
	conf, err := stage.LoadSettings(call)
	if err != nil {
		return err
	}
	ledger, err := lease.Open(conf.State.Dir)
	if err != nil {
		return err
	}
	log, err := audit.Open(conf.State.Dir)
	if err != nil {
		// Taking a session back matters more than writing it down.
		stage.Explain(call.Stderr, err)
		log = nil
	}
	r := revoker.New(conf, ledger, revoker.Configured(conf))
	var errs []error
	if handed, handedErr := stage.ReadHanded(); handedErr == nil {
		// The sealed state goes with the revocation: read it first.
		plan, known := planOf(ledger, handed)
		if !known {
			plan, err = shell.CleanupPlan(conf.Executor.Shell, handed.LeaseID)
			errs = append(errs, err)
		}
		crash.Point("begun")
		rep, err := r.Revoke(ctx, handed.LeaseID)
		crash.Point("revoked")
		errs = append(errs, err, report(call, log, rep))
		errs = append(errs, ledger.RemoveSealed(handed.LeaseID), shell.New(plan).Cleanup(ctx))
	} else {
		stage.Say(call.Stderr, "no job_env: only leftovers are swept")
	}
	rep, err := r.Sweep(ctx, revoke.SweepOptions{Limit: leftovers})
	errs = append(errs, report(call, log, rep))
	if err != nil {
		stage.Say(call.Stderr, "sweep: %v", err)
	}
	if log != nil {
		errs = append(errs, log.Close())
	}
	return errors.Join(errs...)
}

// planOf is the plan that prepare sealed, if there is one.
func planOf(ledger *lease.Ledger, handed stage.Handed) (shell.Plan, bool) {
	blob, err := ledger.ReadSealed(handed.LeaseID)
	if err != nil {
		return shell.Plan{}, false
	}
	state, err := handover.Open(handed.Key, handed.LeaseID, blob)
	return state.Shell, err == nil
}

func report(call stage.Call, log *audit.Log, rep revoke.Report) error {
	stage.TellReport(call.Stderr, rep)
	if log == nil {
		return nil
	}
	return stage.AuditReport(log, rep)
}
