package cleanup

import (
	"testing"

	"envrole/internal/handover"
	"envrole/roles/lease"
)

// A run stage that is still dying may renew the session while cleanup begins: what
// cleanup had read by then does not name the new one's secrets.
func TestWhatIsNotKnownToTheFilterIsNotShown(t *testing.T) {
	session := handover.State{Session: &handover.Session{AccessKeyID: "ASIA2"}}
	for name, tc := range map[string]struct {
		state  handover.State
		known  bool
		closed lease.Lease
		want   bool
	}{
		"the state cannot be read": {handover.State{}, false, lease.Lease{AccessKeyID: "ASIA2"}, false},
		"nothing was lent":         {handover.State{}, true, lease.Lease{}, true},
		"the last session":         {session, true, lease.Lease{AccessKeyID: "ASIA2"}, true},
		"a renewal came between":   {session, true, lease.Lease{AccessKeyID: "ASIA3"}, false},
		"no lease to compare with": {session, true, lease.Lease{}, true},
	} {
		if got := maskable(tc.state, tc.known, tc.closed); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
