package admin

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"envrole/internal/audit"
	"envrole/internal/bases/full"
	"envrole/internal/revoker"
	"envrole/internal/stage"
	"envrole/internal/stage/report"
	"envrole/roles/lease"
	"envrole/roles/revoke"
	"envrole/roles/settings"
)

func sweepCommand() command {
	return command{
		name: "sweep",
		args: "[--json]",
		about: "settle every lease whose job is gone\n" +
			"Revokes what a killed runner left, tries unrevoked sessions again, forgets what has expired and\n" +
			"deletes deny policies whose time is past; removes what bases keep for dead jobs. Exit code 1\n" +
			"if a session could not be revoked, or something of a dead job could not be removed.",
		flags: func(*flag.FlagSet) func(context.Context, console) (int, error) {
			return func(ctx context.Context, con console) (int, error) {
				var left error
				_, code, err := con.withLedger(func(conf *settings.Settings, ledger *lease.Ledger) (revoke.Report, error) {
					rep, err := revoker.New(conf, ledger, revoker.Configured(conf)).Sweep(ctx, revoke.SweepOptions{All: true})
					left = sweepBases(ctx, full.Set(), conf, ledger, con.err)
					return rep, errors.Join(err, report.RemoveSockets(ledger, rep))
				})
				if left != nil {
					stage.Explain(con.err, left)
					code = max(code, exitFinding)
				}
				return code, err
			}
		},
	}
}

func revokeCommand() command {
	return command{
		name: "revoke",
		args: "(--job N | --rule NAME | --role ARN) [--json]",
		about: "the red button: revoke sessions now, whether their jobs run or not\n" +
			"Takes every lease of this host that fits all given flags. The jobs go on without a role: AWS\n" +
			"refuses them within seconds, and their next sub-stage fails. Exit code 1 if no lease fits, if a\n" +
			"session could not be revoked, or if its rule says revoke = \"local\", so that AWS still takes it.",
		flags: func(set *flag.FlagSet) func(context.Context, console) (int, error) {
			var c choice
			set.Int64Var(&c.job, "job", 0, "job's `ID`")
			set.StringVar(&c.rule, "rule", "", "`NAME` of the rule that lent the session")
			set.StringVar(&c.role, "role", "", "`ARN` of the lent role")
			return func(ctx context.Context, con console) (int, error) { return revokeChosen(ctx, con, c) }
		},
	}
}

// choice says which leases are meant.
type choice struct {
	job        int64
	rule, role string
}

func (c choice) fits(le lease.Lease) bool {
	return (c.job == 0 || c.job == le.JobID) && (c.rule == "" || c.rule == le.Rule) && (c.role == "" || c.role == le.RoleARN)
}

func revokeChosen(ctx context.Context, con console, c choice) (int, error) {
	if c == (choice{}) {
		return exitUsage, fmt.Errorf("%w: --job, --rule or --role is needed", errUsage)
	}
	rep, code, err := con.withLedger(func(conf *settings.Settings, ledger *lease.Ledger) (revoke.Report, error) {
		all, damaged, err := ledger.List(ctx)
		if err != nil {
			return revoke.Report{Damaged: damaged}, err
		}
		var ids []string
		for _, le := range all {
			if c.fits(le) {
				ids = append(ids, le.ID)
			}
		}
		// An administrator who names a role means it, configured or not: the
		// rule may have been removed because of what is to be revoked.
		allowed := revoker.Configured(conf)
		rep, err := revoker.New(conf, ledger, func(arn string) bool { return arn == c.role || allowed(arn) }).Revoke(ctx, ids...)
		rep.Damaged = append(rep.Damaged, damaged...)
		return rep, err
	})
	// Whoever presses the red button must not believe in more than happened.
	if code == exitOK && len(rep.Items) == 0 {
		fmt.Fprintln(con.err, "no lease of this host fits: nothing was revoked (`envrole leases` lists them)")
		code = exitFinding
	}
	for _, it := range rep.Items {
		if it.Outcome == revoke.Local && time.Now().Before(it.Lease.ExpiresAt) {
			stage.Say(con.err, "session %s of role %s was destroyed on this host only: a job that has read it can use it until %s (its rule says revoke = \"local\")",
				it.Lease.SessionName, it.Lease.RoleARN, report.Moment(it.Lease.ExpiresAt))
			code = max(code, exitFinding)
		}
	}
	return code, err
}

// withLedger runs f on the ledger, writes the audit log and prints the report.
func (con console) withLedger(f func(*settings.Settings, *lease.Ledger) (revoke.Report, error)) (revoke.Report, int, error) {
	conf, err := con.settings()
	if err != nil {
		return revoke.Report{}, exitFailure, err
	}
	ledger, err := lease.Open(conf.State.Dir)
	if err != nil {
		return revoke.Report{}, exitFailure, err
	}
	log, err := audit.Open(conf.State.Dir)
	if err != nil {
		return revoke.Report{}, exitFailure, err
	}
	rep, err := f(conf, ledger)
	auditErr := errors.Join(report.Audit(log, rep), log.Close())
	code := exitOK
	if rep.Count(revoke.Unrevoked) > 0 || len(rep.Damaged) > 0 {
		code = exitFinding
		err = nil // the report says it, with the way out
	}
	err = errors.Join(err, auditErr, con.report(rep))
	if err != nil {
		code = exitFailure
	}
	return rep, code, err
}
