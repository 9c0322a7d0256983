package admin

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"envrole/internal/audit"
	"envrole/internal/revoker"
	"envrole/internal/stage"
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
			"deletes deny policies whose time is past. Exit code 1 if a session could not be revoked.",
		flags: func(*flag.FlagSet) func(context.Context, console) (int, error) {
			return func(ctx context.Context, con console) (int, error) {
				return con.withLedger(func(conf *settings.Settings, ledger *lease.Ledger) (revoke.Report, error) {
					return revoker.New(conf, ledger, revoker.Configured(conf)).Sweep(ctx, revoke.SweepOptions{All: true})
				})
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
			"refuses them within seconds. Exit code 1 if a session could not be revoked.",
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
	return con.withLedger(func(conf *settings.Settings, ledger *lease.Ledger) (revoke.Report, error) {
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
}

// withLedger runs f on the ledger, writes the audit log and prints the report.
func (con console) withLedger(f func(*settings.Settings, *lease.Ledger) (revoke.Report, error)) (int, error) {
	conf, err := con.settings()
	if err != nil {
		return exitFailure, err
	}
	ledger, err := lease.Open(conf.State.Dir)
	if err != nil {
		return exitFailure, err
	}
	log, err := audit.Open(conf.State.Dir)
	if err != nil {
		return exitFailure, err
	}
	rep, err := f(conf, ledger)
	auditErr := errors.Join(stage.AuditReport(log, rep), log.Close())
	code := exitOK
	if rep.Count(revoke.Unrevoked) > 0 || len(rep.Damaged) > 0 {
		code = exitFinding
	}
	if printErr := con.report(rep); printErr != nil {
		return exitFailure, printErr
	}
	if code == exitFinding {
		err = nil // the report has said it, with the way out
	}
	return code, errors.Join(err, auditErr)
}
