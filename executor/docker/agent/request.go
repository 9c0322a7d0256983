package agent

import (
	"errors"

	"golang.org/x/sys/unix"
)

// request remembers who has been asked to end, by SIGTERM.
//
// What a process that was asked starts afterwards is how it tidies up: the tools
// of a shell's trap, which would die of a SIGTERM of their own. They are spared
// for as long as somebody who was asked, and lives, stands above them.
type request map[process]bool

// send asks those of left that are due, and says how many may not be signalled.
// Parents come first in left.
func (r request) send(left []process) (denied int) {
	tidying := map[int]bool{}
	var now []process
	for _, p := range left {
		one := process{pid: p.pid, start: p.start}
		if r[one] || tidying[p.ppid] {
			tidying[p.pid] = true
			continue
		}
		err := p.signal(unix.SIGTERM)
		_ = p.signal(unix.SIGCONT) // a stopped one could not hear the first
		switch {
		case err == nil:
			now = append(now, one)
		case errors.Is(err, unix.EPERM):
			denied++
		}
	}
	for _, one := range now { // only now: what was seen beside its parent is no tool of its trap
		r[one] = true
	}
	return denied
}
