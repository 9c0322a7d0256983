package handover

import (
	"fmt"
	"testing"
	"time"
)

func TestAScriptNeedsItsSessionUntilTheEndOfTheJob(t *testing.T) {
	at := at(time.Hour)
	for _, tc := range []struct {
		ends  time.Duration // the job's timeout, from now
		after bool
		need  time.Duration
	}{
		{6 * time.Hour, false, 6 * time.Hour},
		{6 * time.Hour, true, 6 * time.Hour},
		{time.Minute, false, time.Minute},
		{time.Minute, true, 5 * time.Minute}, // the runner's limit for it
		{-time.Minute, true, 5 * time.Minute},
		{-time.Minute, false, 5 * time.Minute}, // what else may run on after the timeout
	} {
		s := State{Deadline: at.Wall.Add(tc.ends + Grace)}
		if got := s.Need(at, tc.after); got != tc.need {
			t.Errorf("the job ends in %s, after_script %t: needs %s", tc.ends, tc.after, got)
		}
	}
}

func TestARenewalIsDueWhereLessIsLeftThanTheScriptMayNeed(t *testing.T) {
	const h, m = time.Hour, time.Minute
	for _, tc := range []struct {
		life, left, need time.Duration
		due              bool
	}{
		// Nothing is known of the need: by what is left alone.
		{h, 21 * m, 0, false},
		{h, 19 * m, 0, true},
		// More is needed than is left.
		{h, 50 * m, 6 * h, true},
		{h, 21 * m, 30 * m, true},
		{15 * m, 12 * m, 6 * h, true},
		{12 * h, 10 * h, 24 * h, true},
		// A new one would last hardly longer.
		{h, 55 * m, 6 * h, false},
		{15 * m, 14 * m, 6 * h, false},
		{12 * h, 11 * h, 24 * h, false},
		{3 * time.Second, 1100 * time.Millisecond, 6 * h, false},
		// The session outlives the job: no call to STS beyond the first.
		{h, 40 * m, 30 * m, false},
		{h, 19 * m, 10 * m, false},
		{h, 2 * m, m, false},
		// A timeout of exactly the session's time, and what asking STS took.
		{h - time.Second, 50 * m, 50*m + 5*time.Second, false},
		{h - time.Second, 10 * m, 10*m + 5*time.Second, false},
		// It has ended: there is no use in it.
		{h, 0, m, true},
		{h, -h, m, true},
		{2 * time.Second, 0, m, true},
		// The state of an older version.
		{0, 19 * m, 6 * h, true},
		{0, 21 * m, 6 * h, false},
	} {
		s := lasting(tc.life, h)
		s.GoodUntil = 100*h + tc.left
		if got := s.DueFor(tc.need, at(100*h)); got != tc.due {
			t.Errorf("%s left of %s, %s needed: due %t", tc.left, tc.life, tc.need, got)
		}
	}
}

// However often scripts begin, and whatever they need: the log filter knows every
// session that is still good.
func TestNoGoodSessionIsForgottenByTheFilter(t *testing.T) {
	for _, life := range []time.Duration{time.Minute, 15 * time.Minute, time.Hour, 12 * time.Hour} {
		s := lasting(life, time.Hour)
		ends := map[string]time.Time{s.SecretAccessKey: s.Expiration}
		most := 0
		for up := time.Hour; up < time.Hour+5*life; up += life / 100 {
			if !s.DueFor(1000*time.Hour, at(up)) {
				continue
			}
			fresh := lasting(life, up)
			fresh.SecretAccessKey = fmt.Sprint("secret-", up)
			s = s.Renewed(fresh)
			ends[fresh.SecretAccessKey] = fresh.Expiration
			known := map[string]bool{}
			for _, secret := range s.Secrets() {
				known[secret] = true
			}
			for secret, end := range ends {
				if end.After(at(up).Wall) && !known[secret] {
					t.Errorf("of sessions of %s one is forgotten %s before its end", life, end.Sub(at(up).Wall))
				}
			}
			most = max(most, len(s.Earlier))
		}
		if most < 5 || most > 10 {
			t.Errorf("%s: up to %d earlier sessions are kept", life, most)
		}
	}
}
