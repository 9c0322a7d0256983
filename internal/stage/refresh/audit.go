package refresh

import (
	"errors"
	"time"

	"envrole/internal/audit"
	"envrole/internal/renewal"
	"envrole/internal/stage"
	"envrole/roles/fault"
	"envrole/roles/lease"
	"envrole/roles/session"
)

// auditRefreshed writes down a renewed session before anybody can use it.
func (r *refresh) auditRefreshed(le lease.Lease, lent session.Session, generation int, took time.Duration) error {
	return r.log.Event(audit.Refreshed, fieldsOf(le, audit.Fields{
		"access_key_id": lent.AccessKeyID, "assumed_role_id": lent.AssumedRoleID, "generation": generation,
		"expires": lent.Expiration.UTC().Format(time.RFC3339), "duration_s": int(lent.Duration.Seconds()),
		"dropped_tags": lent.DroppedTags, "sts_ms": took.Milliseconds(), "sts_request": lent.RequestID,
		"failures": r.failures,
	}))
}

// failed writes down why a session was not renewed, and passes the error on. Of
// failures in a row that may pass it writes the first, second, fourth, eighth and
// so on: an outage of hours is some lines a job.
func (r *refresh) failed(err error) error {
	n := r.failures + 1
	if !renewal.Final(err) && n&(n-1) != 0 {
		return err
	}
	le, getErr := r.ledger.Get(r.handed.LeaseID)
	if getErr != nil {
		le = lease.Lease{ID: r.handed.LeaseID, JobID: r.state.JobID}
	}
	return errors.Join(err, r.log.Event(audit.RefreshFailed, fieldsOf(le, audit.Fields{
		"reason": stage.Printable(err.Error()), "class": fault.ClassOf(err).String(), "failures": n,
	})))
}

func fieldsOf(le lease.Lease, more audit.Fields) audit.Fields {
	fields := audit.Fields{
		"lease": le.ID, "job": le.JobID, "job_url": le.JobURL, "project": le.Project, "project_id": le.ProjectID,
		"environment": le.Environment, "rule": le.Rule, "role": le.RoleARN, "session": le.SessionName,
	}
	for k, v := range more {
		fields[k] = v
	}
	return fields
}
