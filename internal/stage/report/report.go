// Package report turns what a revocation or a sweep did into the audit log and
// into lines for people.
package report

import (
	"errors"
	"fmt"
	"io"
	"time"

	"envrole/internal/audit"
	"envrole/internal/stage"
	"envrole/roles/fault"
	"envrole/roles/revoke"
)

// Audit writes one line for every lease that a revocation or a sweep
// settled or failed to settle, and for every file that it could not read. What
// another process did stands in the log already.
func Audit(log *audit.Log, rep revoke.Report) error {
	var errs []error
	for _, it := range rep.Items {
		event, ok := eventOf(it.Outcome)
		if !ok || it.Elsewhere {
			continue
		}
		le := it.Lease
		fields := audit.Fields{
			"lease": le.ID, "job": le.JobID, "job_url": le.JobURL, "project": le.Project, "environment": le.Environment,
			"rule": le.Rule, "role": le.RoleARN, "session": le.SessionName, "access_key_id": le.AccessKeyID,
			"outcome": string(it.Outcome), "expires": le.ExpiresAt, "deny_window": le.Window,
		}
		if it.Why != "" {
			fields["swept_because"] = it.Why
		}
		if it.Err != nil {
			fields["reason"] = stage.Printable(it.Err.Error())
		}
		errs = append(errs, log.Event(event, fields))
	}
	for _, d := range rep.Damaged {
		errs = append(errs, log.Event(audit.Damaged, audit.Fields{"file": d.File, "reason": stage.Printable(fmt.Sprint(d.Err))}))
	}
	for _, p := range rep.Deleted {
		errs = append(errs, log.Event(audit.PolicyDeleted, audit.Fields{"role": p.Role, "policy": p.Name}))
	}
	return errors.Join(errs...)
}

func eventOf(o revoke.Outcome) (audit.Event, bool) {
	switch o {
	case revoke.Denied:
		return audit.Revoked, true
	case revoke.Local:
		return audit.Destroyed, true
	case revoke.RoleGone:
		return audit.RoleGone, true
	case revoke.Unrevoked:
		return audit.RevokeFailed, true
	case revoke.Expired, revoke.Lapsed:
		return audit.Expired, true
	case revoke.Unknown:
		return "", false
	}
	return "", false
}

// Moment is a time as people read it, in UTC.
func Moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }

// Tell says what became of sessions that did not end as they should, with
// the way out once for each distinct failure.
func Tell(w io.Writer, rep revoke.Report) {
	told := map[string]bool{}
	for _, it := range rep.Items {
		if it.Outcome != revoke.Unrevoked {
			continue
		}
		if it.Lease.SessionName == "" {
			stage.Say(w, "lease %s cannot be read, and its session, if there is one, is NOT revoked: %v", it.Lease.ID, it.Err)
		} else {
			stage.Say(w, "session %s of role %s is NOT revoked and can be used until %s: %v",
				it.Lease.SessionName, it.Lease.RoleARN, Moment(it.Lease.ExpiresAt), it.Err)
		}
		if help := fault.HelpOf(it.Err); help != "" && !told[help] {
			told[help] = true
			fmt.Fprintln(w, stage.Printable(help))
		}
	}
	for _, d := range rep.Damaged {
		stage.Say(w, "ledger: %s cannot be read: %v", d.File, d.Err)
	}
}
