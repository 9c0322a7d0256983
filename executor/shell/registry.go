package shell

import (
	"os/exec"
	"sync"
)

// running is the one piece of state that belongs to the whole process, as what
// it describes does: who adopts orphans, and whose children they are, is the
// kernel's bookkeeping per process and not per Run.
var running = registry{mains: map[int]bool{}, spared: map[int]uint64{}}

// registry holds the main processes of the scripts that this process runs now;
// a run stage has one, tests have many.
type registry struct {
	mu    sync.Mutex
	mains map[int]bool
	// spared are this process's own helpers, by pid, with the time of their
	// start: no process that gets the number later is one.
	spared map[int]uint64
}

// start starts a script's shell and enters it. It excludes a simultaneous look
// at this process's children, which could take the new one for an orphan.
func (r *registry) start(cmd *exec.Cmd) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	r.mains[cmd.Process.Pid] = true
	return nil
}

// leave removes a script whose processes have all ended.
func (r *registry) leave(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.mains, pid)
}
