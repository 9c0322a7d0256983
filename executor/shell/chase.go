package shell

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// chaseTime is how long one chase goes on.
const chaseTime = 20 * time.Millisecond

// chase kills orphans as fast as they come, for a moment: one that forks and
// ends at once is never where the process table said. It is for trees that
// neither a cgroup nor a session of their own holds together.
func (t *tree) chase() {
	running.mu.Lock()
	defer running.mu.Unlock()
	done := map[int]bool{}
	alone := len(running.mains) <= 1
	for end := time.Now().Add(chaseTime); time.Now().Before(end); {
		for _, pid := range childrenOf(os.Getpid()) {
			if done[pid] || running.mains[pid] {
				continue
			}
			done[pid] = true
			if p, ok := readProcess(pid); ok && !p.zombie() && t.adopted(p, alone) {
				fell(p)
				t.orphan[pid] = true
			}
		}
	}
}

// fell kills a process and all that descends from it. Each is stopped before its
// children are asked for, so that it has no more of them meanwhile.
func fell(p process) {
	p.signal(unix.SIGSTOP)
	for _, pid := range childrenOf(p.pid) {
		if child, ok := readProcess(pid); ok && child.ppid == p.pid && !child.zombie() {
			fell(child)
		}
	}
	p.kill()
}
