package admin

import (
	"encoding/json"
	"fmt"

	"envrole/internal/stage"
	"envrole/internal/stage/report"
	"envrole/roles/revoke"
)

// reportView is what sweep and revoke print with --json.
type reportView struct {
	Leases          []leaseView `json:"leases"`
	PoliciesWritten int         `json:"policies_written"`
	PoliciesDeleted []string    `json:"policies_deleted"`
	Damaged         []string    `json:"damaged"`
}

type leaseView struct {
	Lease   string `json:"lease"`
	Job     int64  `json:"job"`
	Role    string `json:"role"`
	Session string `json:"session"`
	Outcome string `json:"outcome"`
	Reason  string `json:"reason,omitempty"`
}

func (con console) report(rep revoke.Report) error {
	view := reportView{
		Leases: make([]leaseView, 0, len(rep.Items)), PoliciesWritten: rep.Puts,
		PoliciesDeleted: make([]string, 0, len(rep.Deleted)), Damaged: files(rep.Damaged),
	}
	for _, it := range rep.Items {
		reason := it.Why
		if it.Err != nil {
			reason = it.Err.Error()
		}
		view.Leases = append(view.Leases, leaseView{
			Lease: it.Lease.ID, Job: it.Lease.JobID, Role: it.Lease.RoleARN, Session: it.Lease.SessionName,
			Outcome: string(it.Outcome), Reason: stage.Printable(reason),
		})
	}
	for _, p := range rep.Deleted {
		view.PoliciesDeleted = append(view.PoliciesDeleted, p.Role+" "+p.Name)
	}
	if con.json {
		enc := json.NewEncoder(con.out)
		enc.SetIndent("", "  ")
		return enc.Encode(view)
	}
	for _, l := range view.Leases {
		if l.Outcome != string(revoke.Unrevoked) { // told below, with its help
			fmt.Fprintf(con.out, "job %d: session %s: %s\n", l.Job, l.Session, l.Outcome)
		}
	}
	for _, p := range view.PoliciesDeleted {
		fmt.Fprintf(con.out, "deleted past policy %s\n", p)
	}
	report.Tell(con.err, rep)
	fmt.Fprintf(con.out, "%d leases settled, %d not revoked\n", len(rep.Items)-rep.Count(revoke.Unrevoked), rep.Count(revoke.Unrevoked))
	return nil
}
