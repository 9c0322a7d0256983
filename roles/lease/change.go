package lease

import "fmt"

// allowed says whether a lease may go from one state to another. Staying is
// always allowed; there is no way back.
func allowed(from, to State) bool {
	if from == to {
		return true
	}
	switch from {
	case Asked:
		return to == Lent || to == Closing
	case Lent:
		return to == Closing
	case Closing:
		return to == Denied || to == Unrevoked
	case Unrevoked:
		return to == Denied
	case Denied:
	}
	return false
}

// checkChange refuses a change that would lose sight of a session: a step back,
// an earlier expiry, a later expiry behind a deny's back, another session
// under the same record.
func checkChange(was, is Lease) error {
	refuse := func(what string) error {
		return fmt.Errorf("lease %s (%s): %w: %s", was.ID, was.State, ErrTransition, what)
	}
	switch {
	case is.ID != was.ID || is.Version != was.Version:
		return refuse("id and version are fixed")
	case is.RoleARN != was.RoleARN || is.SessionName != was.SessionName || is.JobID != was.JobID || is.Revoke != was.Revoke:
		return refuse("role, session name, job and way of revocation are fixed")
	case is.Owner != was.Owner || !is.AskedAt.Equal(was.AskedAt):
		return refuse("owner and time of asking are fixed")
	case !allowed(was.State, is.State):
		return refuse("it cannot become " + string(is.State))
	case is.ExpiresAt.Before(was.ExpiresAt):
		return refuse("the expiry cannot come earlier")
	case was.State == Denied && !is.ExpiresAt.Equal(was.ExpiresAt):
		return refuse("the deny is written for the recorded expiry")
	case was.State == Denied && (is.Writer != was.Writer || is.Window != was.Window):
		return refuse("the deny stays where it is")
	case is.Deadline.Before(was.Deadline):
		return refuse("the deadline cannot come earlier")
	}
	return nil
}
