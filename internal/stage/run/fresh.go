package run

import (
	"context"
	"math/rand/v2"
	"time"

	"envrole/internal/renewal"
	"envrole/roles/fault"
)

// This file says when a script's session is renewed while the script runs, and
// what the job's log is told of it.

const (
	// longestSleep bounds how late a renewal can be on a machine that was
	// suspended: timers stand still meanwhile.
	longestSleep = 30 * time.Second
	// firstPause and longestPause bound the waits between failed renewals;
	// for short sessions a share of their life is less.
	firstPause   = 2 * time.Second
	longestPause = time.Minute
	firstShare   = 40
	longestShare = 12
)

// keepFresh renews the session ahead of need until ctx ends. A failure is tried
// again, ever more slowly, while that can help; what is wrong is said once.
func (s *source) keepFresh(ctx context.Context) {
	for s.sleep(ctx) {
		if session := s.read(); !session.Due(s.now()) {
			continue
		}
		err := s.renew(ctx)
		if ctx.Err() != nil {
			return
		}
		s.tell(err)
		if renewal.Final(err) && !s.mayAskAgain() {
			return
		}
	}
}

// news is what the job's log was told of a renewal that is due.
type news struct{ failed, final bool }

// of is the news that err makes.
func (n news) of(err error) news {
	return news{failed: n.failed || err != nil && !renewal.Final(err), final: n.final || renewal.Final(err)}
}

// tell says in the job's log how a renewal ended, unless that is known there.
func (s *source) tell(err error) {
	session, said := s.read(), s.said
	left := max(session.Left(s.now()), 0).Round(time.Second)
	switch {
	case err == nil:
		if said.failed || said.final {
			s.say("session %s was renewed after all", session.Name)
		}
		s.said = news{}
		return
	case renewal.Final(err):
		if !said.final {
			s.say("session %s cannot be renewed and ends in %s: %v", session.Name, left, err)
			if help := fault.HelpOf(err); help != "" {
				s.say("%s", help)
			}
		}
	default:
		if !said.failed {
			s.say("session %s could not be renewed yet, and is good for %s more: %v", session.Name, left, err)
		}
	}
	s.said = said.of(err)
}

// sleep waits until something may be to do, and says whether ctx still lives.
func (s *source) sleep(ctx context.Context) bool {
	s.mu.Lock()
	wait := s.session.Left(s.now()) - s.session.RenewBelow()
	switch {
	case wait > 0:
	case renewal.Final(s.last):
		wait = s.session.Left(s.now()) - late(s.session)
	default:
		wait = time.Until(s.notBefore)
	}
	s.mu.Unlock()
	t := time.NewTimer(min(max(wait, time.Millisecond), longestSleep))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-s.wake:
	case <-t.C:
	}
	return true
}

func nextPause(pause, lifetime time.Duration) time.Duration {
	first, longest := firstPause, longestPause
	if lifetime > 0 {
		first, longest = min(first, lifetime/firstShare), min(longest, lifetime/longestShare)
	}
	if pause == 0 {
		return first
	}
	return min(2*pause, longest)
}

// jittered spreads the renewals of many jobs that failed together.
func jittered(d time.Duration) time.Duration {
	return d/2 + rand.N(d+1) //nolint:gosec // no secret: it only spreads load
}
