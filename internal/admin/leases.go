package admin

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"envrole/internal/stage"
	"envrole/roles/lease"
)

func leasesCommand() command {
	return command{
		name: "leases",
		args: "[--unrevoked] [--json]",
		about: "list the sessions that may exist, and where each lease stands\n" +
			"Exit code 1 if a session whose job has ended could not be revoked, or a record of the ledger\n" +
			"cannot be read.",
		flags: func(set *flag.FlagSet) func(context.Context, console) (int, error) {
			unrevoked := set.Bool("unrevoked", false, "only those that could not be revoked")
			return func(ctx context.Context, con console) (int, error) { return leases(ctx, con, *unrevoked) }
		},
	}
}

func leases(ctx context.Context, con console, onlyUnrevoked bool) (int, error) {
	conf, err := con.settings()
	if err != nil {
		return exitFailure, err
	}
	ledger, err := lease.Open(conf.State.Dir)
	if err != nil {
		return exitFailure, err
	}
	all, damaged, err := ledger.List(ctx)
	if err != nil {
		return exitFailure, err
	}
	code := exitOK
	shown := make([]lease.Lease, 0, len(all))
	for _, le := range all {
		if le.State == lease.Unrevoked {
			code = exitFinding
		}
		if !onlyUnrevoked || le.State == lease.Unrevoked {
			shown = append(shown, le)
		}
	}
	if len(damaged) > 0 {
		code = exitFinding
	}
	if con.json {
		enc := json.NewEncoder(con.out)
		enc.SetIndent("", "  ")
		return code, enc.Encode(struct {
			Leases  []lease.Lease `json:"leases"`
			Damaged []string      `json:"damaged"`
		}{shown, files(damaged)})
	}
	printLeases(con, shown, damaged)
	return code, nil
}

func printLeases(con console, shown []lease.Lease, damaged []lease.Damaged) {
	if len(shown) == 0 {
		fmt.Fprintln(con.out, "no leases")
	} else {
		w := tabwriter.NewWriter(con.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "STATE\tJOB\tPROJECT\tENVIRONMENT\tSESSION\tROLE\tEXPIRES\tREASON")
		for _, le := range shown {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", le.State, le.JobID,
				cell(le.Project), cell(le.Environment), cell(le.SessionName), cell(le.RoleARN),
				le.ExpiresAt.UTC().Format(time.RFC3339), cell(le.LastReason))
		}
		_ = w.Flush()
	}
	for _, d := range damaged {
		fmt.Fprintf(con.out, "cannot be read: %s: %s\n", d.File, stage.Printable(d.Err.Error()))
	}
}

// cell keeps a text to its cell of a table: none may pass for a row.
func cell(s string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(stage.Printable(s))
}

func files(damaged []lease.Damaged) []string {
	out := make([]string, 0, len(damaged))
	for _, d := range damaged {
		out = append(out, d.File)
	}
	return out
}
