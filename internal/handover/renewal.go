package handover

import (
	"fmt"
	"time"

	"envrole/roles"
)

// This file says when a session must be renewed, and carries what the renewal
// asks for: exactly what prepare decided, so that nothing is decided twice.

// Renewal is what a session of the same name is asked for with.
type Renewal struct {
	Grant roles.Grant `json:"grant"` // the rule's grant, placeholders filled
	Tags  []Tag       `json:"tags,omitempty"`
}

// Tag is one of EnvRole's own session tags.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Exact bool   `json:"exact,omitempty"`
}

// Earlier is a session that was replaced before its end.
type Earlier struct {
	SecretAccessKey string `json:"secret_access_key"`
	SessionToken    string `json:"session_token"`
	// Ends is its expiration; zero where an older EnvRole replaced it.
	Ends time.Time `json:"ends,omitzero"`
}

// Format prints nothing of the session, whatever the verb.
func (Earlier) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

const (
	// renewBelow is what must be left of a long session: SDKs ask for new
	// credentials up to 15 minutes before the old ones end (botocore), and
	// must then find some that last longer.
	renewBelow = 20 * time.Minute
	// renewShare bounds that for short sessions: a third. STS may be out of
	// reach for that long before a job notices.
	renewShare = 3
	// keepEarlier is how many sessions before the current one the log filter
	// knows at least, whether or not they are still good, and keepGood how many
	// of those that are: there are never more, for a session is replaced after
	// a tenth of its life at the earliest. All of them for ever would only fill
	// the memory.
	keepEarlier = 2
	keepGood    = freshShare
	// toldEarly and toldShare bound what is kept back of a session's end; half
	// of what is left bounds it too.
	toldEarly = time.Minute
	toldShare = 10
)

// Instant is one moment by two clocks. Uptime counts from the host's boot, sleep
// included, and no change of the wall clock moves it; 0 is unknown.
type Instant struct {
	Wall   time.Time
	Uptime time.Duration
}

// Now reads both clocks; uptime is the host's (lease.Host).
func Now(uptime func() (time.Duration, error)) Instant {
	at := Instant{Wall: time.Now()}
	if up, err := uptime(); err == nil {
		at.Uptime = up
	}
	return at
}

// Left is how long AWS still accepts the session. It goes by the host's uptime
// where that is known, so that neither a wrong wall clock nor a suspended
// machine makes a dead session look alive.
func (s *Session) Left(now Instant) time.Duration {
	if s.GoodUntil > 0 && now.Uptime > 0 {
		return s.GoodUntil - now.Uptime
	}
	return s.Expiration.Sub(now.Wall)
}

// Told is how much longer tools are told that the session lasts. It is a little
// less than what is left: some use credentials up to the very end that they
// were told, and a request takes its time to reach AWS. By then the session is
// renewed. It only shrinks as time goes by, and reaches 0 with what is left.
func (s *Session) Told(now Instant) time.Duration {
	left := s.Left(now)
	return left - max(0, min(toldEarly, s.Lifetime/toldShare, left/2))
}

// ToldEnd is that end by this host's clock, which is what tools compare with,
// and which may differ from AWS's. They read whole seconds: one that has begun
// would be an end of the past, while the session is good.
func (s *Session) ToldEnd(now Instant) time.Time {
	wall := now.Wall.Round(0) // a suspended machine's monotonic clock stood still
	end := wall.Add(s.Told(now)).Truncate(time.Second)
	if next := wall.Truncate(time.Second).Add(time.Second); s.Left(now) > 0 && end.Before(next) {
		return next
	}
	return end
}

// Due says whether the session is to be renewed: less than 20 minutes are left,
// or less than a third of its life if that is shorter.
func (s *Session) Due(now Instant) bool { return s.Left(now) < s.RenewBelow() }

// RenewBelow is how much is left when a renewal becomes due.
func (s *Session) RenewBelow() time.Duration {
	if s.Lifetime <= 0 {
		return renewBelow
	}
	return min(renewBelow, s.Lifetime/renewShare)
}

// Renewed is the session with fresh credentials in it: name, role and delivery
// stay, and the old credentials are remembered for the log filter.
func (s *Session) Renewed(fresh Session) Session {
	next := *s
	next.AccessKeyID, next.SecretAccessKey, next.SessionToken = fresh.AccessKeyID, fresh.SecretAccessKey, fresh.SessionToken
	next.Expiration, next.Lifetime, next.GoodUntil = fresh.Expiration, fresh.Lifetime, fresh.GoodUntil
	next.Generation = s.Generation + 1
	next.Earlier = []Earlier{{s.SecretAccessKey, s.SessionToken, s.Expiration}}
	began := fresh.Expiration.Add(-fresh.Lifetime) // by AWS's clock, as all ends are
	for i, e := range s.Earlier {
		if i+1 < keepEarlier || i+1 < keepGood && e.Ends.After(began) {
			next.Earlier = append(next.Earlier, e)
		}
	}
	return next
}
