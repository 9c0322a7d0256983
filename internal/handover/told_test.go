package handover

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestToolsAreToldALittleLess(t *testing.T) {
	for life, want := range map[time.Duration]time.Duration{
		time.Hour: 59 * time.Minute, 15 * time.Minute: 14 * time.Minute, 10 * time.Second: 9 * time.Second,
	} {
		s := lasting(life, 0)
		s.GoodUntil += time.Hour
		if got := s.Told(at(time.Hour)); got != want {
			t.Errorf("%s: told %s", life, got)
		}
	}
	s := lasting(time.Hour, time.Hour)
	if got := s.Told(at(2*time.Hour - 30*time.Second)); got != 15*time.Second {
		t.Errorf("near the end: %s", got)
	}
}

// botocore takes new credentials that are told to have ended for a failure, and
// a tool that sees an end move backwards has lost what it knew.
func TestAGoodSessionIsNeverToldToHaveEnded(t *testing.T) {
	for _, life := range []time.Duration{0, time.Second, 3 * time.Second, 15 * time.Minute, time.Hour, 12 * time.Hour} {
		s := lasting(life, 0)
		s.GoodUntil = 100 * time.Hour
		var lefts []time.Duration
		for i := range 200 {
			lefts = append(lefts, rand.N(max(life, time.Hour))+1, time.Duration(i)*time.Millisecond+1, life/10+time.Duration(i-100), time.Minute+time.Duration(i-100)*time.Millisecond)
		}
		lefts = slices.DeleteFunc(lefts, func(d time.Duration) bool { return d <= 0 })
		slices.Sort(lefts)
		told, stamped := time.Duration(0), time.Time{}
		for _, left := range lefts {
			now := at(s.GoodUntil - left)
			now.Wall = at(0).Wall.Add(300 * time.Millisecond) // so that only left differs
			switch got := s.Told(now); {
			case got <= 0 || got > left:
				t.Fatalf("%s left of %s: told %s", left, life, got)
			case got < told:
				t.Fatalf("%s left of %s: told %s, and %s where less was left", left, life, got, told)
			default:
				told = got
			}
			end := s.ToldEnd(now)
			if read := end.Truncate(time.Second); !read.After(now.Wall) || read.Before(stamped) || !read.Equal(end) || end.After(now.Wall.Add(max(left, time.Second))) {
				t.Fatalf("%s left of %s: at %s told %s, and %s where less was left", left, life, now.Wall, read, stamped)
			} else {
				stamped = read
			}
		}
	}
}

func TestAnEndedSessionIsToldToHaveEnded(t *testing.T) {
	s := lasting(time.Hour, 0)
	for _, over := range []time.Duration{0, time.Millisecond, time.Hour} {
		now := at(time.Hour + over)
		if told, end := s.Told(now), s.ToldEnd(now); told > 0 || end.After(now.Wall) {
			t.Errorf("%s after its end: told %s, until %s", over, told, end)
		}
	}
}

// Tools compare with the clock of their host, not with AWS's.
func TestTheEndIsToldByTheClockOfThisHost(t *testing.T) {
	s := lasting(time.Hour, time.Hour)
	for _, skew := range []time.Duration{-10 * time.Minute, 0, 10 * time.Minute} {
		now := at(time.Hour)
		now.Wall = now.Wall.Add(skew) // the host's clock; s.Expiration is AWS's
		want := "AWS_CREDENTIAL_EXPIRATION=" + now.Wall.Add(59*time.Minute).Format(time.RFC3339)
		if got := s.Env(now); !slices.Contains(got, want) || want[len(want)-1] != 'Z' {
			t.Errorf("clock off by %s: want %s", skew, want)
		}
	}
}

func TestTheExpirationIsUTCWithZ(t *testing.T) {
	s := state().Session
	now := Instant{Wall: s.Expiration.Add(-time.Hour).In(time.FixedZone("CET", 3600))}
	if !slices.Contains(s.Env(now), "AWS_CREDENTIAL_EXPIRATION=2026-11-22T20:00:00Z") {
		t.Errorf("environment: want AWS_CREDENTIAL_EXPIRATION=2026-11-22T20:00:00Z")
	}
}
