package revoke

import (
	"encoding/json"
	"sync"
	"time"

	"envrole/roles/lease"
)

// clockMark is the name under which the last sight of AWS's clock is kept.
const clockMark = "clock"

// clockAge bounds the use of a sight: quartz drifts by minutes a month.
const clockAge = 24 * time.Hour

// clock tells AWS's time between two answers of IAM. A sight of AWS's clock (a
// Date header) is carried on by the time since boot, which no change of the
// wall clock moves. An answer is on its way for a while and a virtual machine
// may be halted: what the clock tells is AWS's time or earlier, never later,
// so that nothing is forgotten too soon.
type clock struct {
	ledger *lease.Ledger
	now    func() time.Time // the host's own wall clock

	mu   sync.Mutex
	seen sight
}

type sight struct {
	BootID    string        `json:"boot_id"`
	Namespace string        `json:"namespace"` // time since boot differs between time namespaces
	Uptime    time.Duration `json:"uptime_ns"`
	AWS       time.Time     `json:"aws"`
}

func newClock(l *lease.Ledger, now func() time.Time) *clock {
	c := &clock{ledger: l, now: now}
	if b, err := l.ReadMark(clockMark); err == nil {
		// What does not parse is no sight; the next answer replaces it.
		if json.Unmarshal(b, &c.seen) != nil {
			c.seen = sight{}
		}
	}
	return c
}

// learn takes in AWS's time from an answer; zero is no answer.
func (c *clock) learn(at time.Time) {
	if at.IsZero() {
		return
	}
	h := c.ledger.Host()
	up, err := h.Uptime()
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = sight{BootID: h.BootID, Namespace: h.PIDNamespace, Uptime: up, AWS: at.UTC()}
	// Lost knowledge costs one call; no reason to fail.
	if b, err := json.Marshal(c.seen); err == nil {
		_ = c.ledger.WriteMark(clockMark, b)
	}
}

// aws gives AWS's time, if it is known.
func (c *clock) aws() (time.Time, bool) {
	h := c.ledger.Host()
	c.mu.Lock()
	s := c.seen
	c.mu.Unlock()
	if s.AWS.IsZero() || s.BootID == "" || s.BootID != h.BootID || s.Namespace != h.PIDNamespace {
		return time.Time{}, false
	}
	up, err := h.Uptime()
	if err != nil || up < s.Uptime || up-s.Uptime > clockAge {
		return time.Time{}, false
	}
	return s.AWS.Add(up - s.Uptime), true
}

// behind is how far this host's clock is behind AWS's, 0 if it is not or AWS's
// is not known. A recorded expiry may be told by this host's clock.
func (c *clock) behind() time.Duration {
	at, ok := c.aws()
	if !ok {
		return 0
	}
	return max(0, at.Sub(c.now()))
}

// window is where the deny of a lease belongs.
func (c *clock) window(le lease.Lease) string {
	return Window(le.ExpiresAt.Add(c.behind() + Margin))
}

// ripe says whether by this host's clock the lease's session is over.
func (c *clock) ripe(le lease.Lease) bool { return !c.now().Before(le.ExpiresAt.Add(Margin)) }

// forgetAnyway is how long after its expiry a lease is kept while AWS's clock
// cannot be learnt, an account that was closed for instance.
const forgetAnyway = 7 * 24 * time.Hour

// over says whether the lease's session is certainly over: by AWS's clock and
// by the host's own, each of which the recorded expiry may be told by.
func (c *clock) over(le lease.Lease) bool {
	if !c.ripe(le) {
		return false
	}
	at, ok := c.aws()
	if !ok {
		return !c.now().Before(le.ExpiresAt.Add(forgetAnyway))
	}
	return !at.Before(le.ExpiresAt.Add(Margin))
}
