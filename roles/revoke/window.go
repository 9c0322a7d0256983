package revoke

import (
	"strings"
	"time"

	"envrole/roles/lease"
)

// Margin is how long a deny stays after the session's last possible expiry:
// clocks differ, and IAM's changes take their time to be seen everywhere.
const Margin = 15 * time.Minute

// windowFormat is the hour, in UTC, in which all entries of a policy are over.
const windowFormat = "2006010215"

// pastAfter is the time from the begin of a window after which anybody may
// delete it: its own hour, and another one for clocks.
const pastAfter = 2 * time.Hour

// policyPrefix starts the name of every deny policy.
const policyPrefix = "envrole-"

// Window is the hour that holds t, e.g. "2026112221". Windows compare as text.
func Window(t time.Time) string { return t.UTC().Format(windowFormat) }

// PolicyName is the name of a writer's policy for a window.
func PolicyName(writer, window string) string { return policyPrefix + writer + "-" + window }

// ParsePolicyName reads what PolicyName made, and nothing else: an admin's own
// "envrole-something" is not ours to touch.
func ParsePolicyName(name string) (writer, window string, ok bool) {
	rest, ok := strings.CutPrefix(name, policyPrefix)
	if !ok {
		return "", "", false
	}
	writer, window, ok = strings.Cut(rest, "-")
	if !ok || !lease.ValidWriter(writer) || len(window) != len(windowFormat) {
		return "", "", false
	}
	_, err := time.Parse(windowFormat, window)
	return writer, window, err == nil
}

// WellPast says whether no entry of the policy can matter any more at the
// instant now, which must be AWS's.
func WellPast(name string, now time.Time) bool {
	_, window, ok := ParsePolicyName(name)
	if !ok {
		return false
	}
	begin, err := time.Parse(windowFormat, window)
	return err == nil && !now.Before(begin.Add(pastAfter))
}
