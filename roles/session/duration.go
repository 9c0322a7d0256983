package session

import (
	"fmt"
	"time"

	"envrole/roles"
)

// AWS's limits on DurationSeconds of AssumeRole (STS API reference).
const (
	minDuration = 15 * time.Minute
	maxDuration = 12 * time.Hour
	// chainedMax holds wherever the caller is a role session itself.
	chainedMax = time.Hour
	// defaultDuration is what AWS gives where nothing is asked.
	defaultDuration = time.Hour
	// hubDuration is asked for the roles of a chain: they are needed for the
	// next call only.
	hubDuration = minDuration
	// expiryMargin covers what the runner cannot know when it writes the
	// lease: the time until STS is asked (at most lendLimit) and a clock that
	// is behind AWS's. The SDK corrects a wrong clock from AWS's answers, so
	// a skew does not stop a session from being lent; see LatestExpiry.
	expiryMargin = 15 * time.Minute
)

// asked is the duration that a grant asks for, clamped to what AWS allows
// whoever asks, and a sentence if it is not the rule's own.
func asked(g roles.Grant) (d time.Duration, warning string) {
	d = g.Duration.Truncate(time.Second)
	switch {
	case d <= 0:
		d = defaultDuration
	case d < minDuration:
		d, warning = minDuration, fmt.Sprintf("The session lasts %s instead of the rule's %s: AWS gives no shorter one.", minDuration, g.Duration)
	case d > maxDuration:
		d, warning = maxDuration, fmt.Sprintf("The session lasts %s instead of the rule's %s: AWS gives no longer one.", maxDuration, g.Duration)
	}
	if len(g.Chain) > 0 && d > chainedMax {
		return chainedMax, chainedWarning(g.Duration, "the rule chains roles")
	}
	return d, warning
}

func chainedWarning(rule time.Duration, why string) string {
	return fmt.Sprintf("The session lasts %s instead of the rule's %s: %s, and AWS then gives no longer one.", chainedMax, rule, why)
}

// LatestExpiry is an upper bound of the expiration that Lend could get if it is
// called at now: the asked duration and a margin of 15 minutes. It goes into
// the lease before STS is asked. Where the host's clock is more than the margin
// behind AWS's, the answer may be later: whoever records the answer keeps the
// later of the two.
func (b *Base) LatestExpiry(r Request, now time.Time) time.Time {
	d, _ := asked(r.Grant)
	return now.Add(d + expiryMargin)
}
