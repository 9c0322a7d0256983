package handover

import "time"

// This file says what a script may need of its session where that cannot be
// renewed while the script runs.

// Grace is added to the job's timeout before its lease counts as abandoned: the
// runner's own graceful_kill_timeout (10 min), after_script, uploads and cleanup,
// each of which may run on after the timeout.
const Grace = time.Hour

// leastNeed is for a script that may run on after the job's timeout: five minutes
// is the runner's limit for after_script unless RUNNER_AFTER_SCRIPT_TIMEOUT says
// otherwise.
const leastNeed = 5 * time.Minute

// Need is for how long a script that begins now may use its session: until
// GitLab ends the job.
func (s *State) Need(now Instant, afterScript bool) time.Duration {
	need := s.Deadline.Add(-Grace).Sub(now.Wall)
	if afterScript || need <= 0 {
		return max(need, leastNeed)
	}
	return need
}

const (
	// freshShare is the part of its life that a session must have behind it
	// before it is renewed for a need: a younger one is as good as new. It also
	// bounds how many sessions of one job are good at a time, and so what the
	// log filter must know; see Renewed.
	freshShare = 10
	// leastFresh holds for sessions of seconds: AWS's times are whole seconds.
	leastFresh = 2 * time.Second
	// needSlack is how much too early a session may end. The runner's clock for
	// the job began before STS was asked, ours after it had answered: a session
	// of an hour is enough for a timeout of an hour.
	needSlack      = 15 * time.Second
	needSlackShare = 20
)

// DueFor says whether the session is to be renewed for a script that needs it
// for that long; 0 is a script that is served renewed ones while it runs.
func (s *Session) DueFor(need time.Duration, now Instant) bool {
	left := s.Left(now)
	if need <= 0 || s.Lifetime <= 0 {
		return s.Due(now)
	}
	if left <= 0 {
		return true
	}
	enough := min(need, s.Lifetime) - min(needSlack, s.Lifetime/needSlackShare)
	return left < enough && s.Lifetime-left > max(leastFresh, s.Lifetime/freshShare)
}
