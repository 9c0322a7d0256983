package run

import (
	"time"

	"envrole/internal/handover"
	"envrole/internal/renewal"
	"envrole/roles/fault"
)

// This file gives a final answer a second chance: AWS also says no for the moment
// in which a role's trust policy is written anew, and the session may be good for
// many minutes more.

const (
	// lateShare is the part of the time between due and over in which it is
	// asked once more: five minutes of twenty.
	lateShare = 4
	// leastLate is for how long that must be: a session of seconds has ended
	// before anything has changed.
	leastLate = 10 * time.Second
)

// late is what is left of a session when the final answer is asked for again.
func late(session handover.Session) time.Duration { return session.RenewBelow() / lateShare }

// barred says whether a renewal that failed is not to be tried now. s.mu is held.
func (s *source) barred() bool {
	switch {
	case s.last == nil:
		return false
	case renewal.Final(s.last):
		return !s.secondChance() || s.session.Left(s.now()) > late(s.session)
	}
	return time.Now().Before(s.notBefore)
}

// mayAskAgain says whether a final answer is asked for once more. What EnvRole
// itself refused stays refused.
func (s *source) mayAskAgain() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.secondChance()
}

func (s *source) secondChance() bool {
	return !s.again && fault.ClassOf(s.last) == fault.Permanent && late(s.session) >= leastLate
}
