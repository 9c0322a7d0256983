package handover

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func at(up time.Duration) Instant {
	return Instant{Wall: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).Add(up), Uptime: up}
}

func lasting(life, from time.Duration) Session {
	return Session{
		SecretAccessKey: "secret-1", SessionToken: "token-1", Lifetime: life, GoodUntil: from + life, Generation: 1,
		Expiration: at(from + life).Wall, Name: "gl-1-x", RoleARN: "arn", Delivery: "endpoint", SubStages: []string{"get_sources"},
	}
}

func TestARenewalIsDueBelowTwentyMinutesOrAThird(t *testing.T) {
	for _, tc := range []struct {
		life, left time.Duration
		due        bool
	}{
		{12 * time.Hour, 21 * time.Minute, false},
		{12 * time.Hour, 19 * time.Minute, true},
		{time.Hour, 21 * time.Minute, false},
		{time.Hour, 19 * time.Minute, true},
		{15 * time.Minute, 6 * time.Minute, false},
		{15 * time.Minute, 4 * time.Minute, true},
		{15 * time.Minute, -time.Minute, true},
		{6 * time.Second, 3 * time.Second, false},
		{6 * time.Second, time.Second, true},
		{0, 19 * time.Minute, true}, // the state of an older version
	} {
		s := lasting(tc.life, time.Hour)
		s.GoodUntil = 100*time.Hour + tc.left
		if got := s.Due(at(100 * time.Hour)); got != tc.due {
			t.Errorf("%s left of %s: due %t", tc.left, tc.life, got)
		}
	}
}

// The wall clock is wrong or jumps, or the machine was suspended: only the time
// since boot counts.
func TestWhatIsLeftGoesByTheTimeSinceBoot(t *testing.T) {
	s := lasting(15*time.Minute, time.Hour)
	for _, jump := range []time.Duration{0, 10 * time.Minute, -10 * time.Minute, -24 * time.Hour} {
		now := at(time.Hour + 5*time.Minute)
		now.Wall = now.Wall.Add(jump)
		if left := s.Left(now); left != 10*time.Minute {
			t.Errorf("clock off by %s: %s left", jump, left)
		}
	}
	if left := s.Left(Instant{Wall: at(time.Hour + 5*time.Minute).Wall}); left != 10*time.Minute {
		t.Errorf("uptime unknown: %s left", left)
	}
}

func TestTheLastOldSecretsAreFiltered(t *testing.T) {
	s := lasting(15*time.Minute, time.Hour)
	fresh := func(n int, from time.Duration) Session {
		f := lasting(15*time.Minute, from)
		f.SecretAccessKey, f.SessionToken, f.Name = fmt.Sprint("secret-", n), fmt.Sprint("token-", n), ""
		return f
	}
	second := s.Renewed(fresh(2, time.Hour+11*time.Minute))
	if got := second.Secrets(); !slices.Equal(got, []string{"secret-2", "token-2", "secret-1", "token-1"}) {
		t.Errorf("second: %q", got)
	}
	third := second.Renewed(fresh(3, time.Hour+22*time.Minute))
	if got := third.Secrets(); !slices.Equal(got, []string{"secret-3", "token-3", "secret-2", "token-2", "secret-1", "token-1"}) {
		t.Errorf("third: %q", got)
	}
	fourth := third.Renewed(fresh(4, 2*time.Hour))
	if got := fourth.Secrets(); !slices.Equal(got, []string{"secret-4", "token-4", "secret-3", "token-3", "secret-2", "token-2"}) {
		t.Errorf("fourth: %q", got)
	}
	if third.Generation != 3 || third.Name != "gl-1-x" || third.Delivery != "endpoint" || len(third.SubStages) != 1 {
		t.Errorf("what is no credential must stay")
	}
	if len(s.Earlier) != 0 || len(second.Earlier) != 1 {
		t.Error("a renewal changed the session before it")
	}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		if text := fmt.Sprintf(verb, third.Earlier); strings.Contains(text, "secret-2") {
			t.Errorf("%s prints %s", verb, text)
		}
	}
}
