package shell

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// reapEvery is how often a running script's ended orphans are looked for.
const reapEvery = 15 * time.Second

// reapStale removes, until the returned function is called, ended orphans that
// nobody waits for: a long job may leave thousands. One that is seen ended
// twice, reapEvery apart, is not somebody's who is just about to wait for it.
func reapStale() (stop func()) {
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(reapEvery)
		defer tick.Stop()
		var seen map[process]bool
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				seen = reapOnce(seen)
			}
		}
	}()
	return func() { close(done) }
}

// reapOnce waits for the ended children that are in seen, and returns those
// that are left.
func reapOnce(seen map[process]bool) map[process]bool {
	running.mu.Lock()
	defer running.mu.Unlock()
	table, err := processes()
	if err != nil {
		return nil
	}
	left := map[process]bool{}
	for pid, p := range table {
		switch {
		case p.ppid != os.Getpid() || !p.zombie() || running.mains[pid] || running.spares(p):
		case seen[p]:
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		default:
			left[p] = true
		}
	}
	return left
}
