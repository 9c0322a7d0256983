// Package cleanup is the cleanup stage: it revokes the job's session, removes
// what the base made, and writes down how the lease ended. It works from the
// ledger alone if it must: without payload, temporary directory, job_env or a
// usable configuration, twice, or beside a run that is still dying.
package cleanup

import (
	"context"
	"errors"

	"envrole/internal/audit"
	"envrole/internal/crash"
	"envrole/internal/handover"
	"envrole/internal/revoker"
	"envrole/internal/stage"
	"envrole/internal/stage/report"
	"envrole/internal/stage/setup"
	"envrole/internal/vend"
	"envrole/roles/fault"
	"envrole/roles/lease"
	"envrole/roles/revoke"
	"envrole/roles/settings"
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

// cleaning is one run of the stage.
type cleaning struct {
	call   stage.Call
	handed stage.Handed
	conf   *settings.Settings // nil if it cannot be used
	ledger *lease.Ledger
	log    *audit.Log // nil if it cannot be opened
}

func run(ctx context.Context, call stage.Call) (err error) {
	conf, confErr := setup.Settings(call)
	handed, handedErr := stage.ReadHanded()
	c := &cleaning{call: call, handed: handed, conf: conf}
	// The job's lease is where config and prepare put it, though the
	// configuration may name another directory by now.
	dir := handed.StateDir
	if dir == "" {
		if confErr != nil {
			return confErr
		}
		dir = conf.State.Dir
	}
	if handedErr != nil && !stage.NothingHanded(handedErr) {
		stage.Say(call.Stderr, "%v", handedErr)
	}
	if c.ledger, err = lease.Open(dir); err != nil {
		return errors.Join(confErr, err, c.withoutLedger(ctx))
	}
	if c.log, err = audit.Open(dir); err != nil {
		// Taking a session back matters more than writing it down.
		stage.Explain(call.Stderr, err)
		c.log = nil
	}
	errs := []error{confErr}
	if handed.LeaseID != "" {
		errs = append(errs, c.own(ctx))
	} else {
		stage.Say(call.Stderr, "no job_env: only leftovers are swept")
		errs = append(errs, c.unnamed(ctx))
	}
	if conf != nil {
		errs = append(errs, c.sweep(ctx))
	}
	if c.log != nil {
		errs = append(errs, c.log.Close())
	}
	return errors.Join(errs...)
}

// own ends the job that this cleanup was called for.
func (c *cleaning) own(ctx context.Context) error {
	var errs []error
	// The sealed state goes with the revocation: read it first.
	state, known := c.sealed()
	crash.Point("begun")
	rep, err := c.revoker().Revoke(ctx, c.handed.LeaseID)
	crash.Point("revoked")
	reportErr := c.report(rep)
	it, ok := rep.Of(c.handed.LeaseID)
	settled := err == nil && (!ok || it.Outcome != revoke.Local)
	shown := settled || maskable(state, known, it.Lease)
	if ok && it.Outcome == revoke.Unrevoked {
		if it.Lease.SessionName == "" && state.Session != nil {
			stage.Say(c.call.Stderr, "the job's session is %s of role %s and can be used until %s; the ledger cannot revoke it: deny aws:userid \"*:%s\" on the role by hand",
				state.Session.Name, state.Session.RoleARN, report.Moment(state.Session.Expiration), state.Session.Name)
		}
		// The report has said why, with the way out.
		err = fault.New(fault.ClassOf(err), "clean up after the job", "", errUnrevoked, "")
	}
	errs = append(errs, err, reportErr, c.ledger.RemoveSealed(c.handed.LeaseID))
	errs = append(errs, vend.Sweep(c.handed.LeaseID))
	errs = append(errs, c.base(ctx, state, known, shown))
	return errors.Join(errs...)
}

// withoutLedger does what needs no ledger: what the base made is removed, though
// nothing can be revoked now.
func (c *cleaning) withoutLedger(ctx context.Context) error {
	stage.Say(c.call.Stderr, "nothing can be revoked now: if the job was lent a session, the first sweep with a sound state directory does it")
	if c.handed.LeaseID == "" {
		return c.unnamed(ctx)
	}
	return errors.Join(vend.Sweep(c.handed.LeaseID), c.base(ctx, handover.State{}, false, false))
}

// sealed is what prepare sealed, if there is anything.
func (c *cleaning) sealed() (handover.State, bool) {
	blob, err := c.ledger.ReadSealed(c.handed.LeaseID)
	if err != nil {
		return handover.State{}, false
	}
	state, err := handover.Open(c.handed.Key, c.handed.LeaseID, blob)
	return state, err == nil
}

var (
	errNoSettings = errors.New("the configuration, which says who may write the deny, cannot be used")
	errUnrevoked  = errors.New("its session is not revoked (see above)")
)

// revoker takes sessions back. Without a configuration it closes the lease and
// destroys the sealed session, and says that AWS still takes it: the lease is
// then unrevoked, and the first sweep with a sound configuration goes on.
func (c *cleaning) revoker() *revoke.Revoker {
	if c.conf != nil {
		return revoker.New(c.conf, c.ledger, revoker.Configured(c.conf))
	}
	nobody := func(context.Context, string) (revoke.IAM, error) {
		return nil, fault.New(fault.Passing, "reach IAM", "", errNoSettings, "")
	}
	return revoke.New(c.ledger, nobody, revoke.Options{})
}

// sweep settles a few leases of dead jobs. What fails with them is said, and is
// no failure of this job's cleanup.
func (c *cleaning) sweep(ctx context.Context) error {
	rep, err := c.revoker().Sweep(ctx, revoke.SweepOptions{Limit: leftovers})
	reportErr := c.report(rep)
	if err != nil {
		stage.Say(c.call.Stderr, "sweep: %v", err)
	}
	return errors.Join(reportErr, report.RemoveSockets(c.ledger, rep))
}

func (c *cleaning) report(rep revoke.Report) error {
	report.Tell(c.call.Stderr, rep)
	if c.log == nil {
		return nil
	}
	return report.Audit(c.log, rep)
}
