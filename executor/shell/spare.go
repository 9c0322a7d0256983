package shell

import (
	"errors"
	"os/exec"
)

// This file keeps a program that this process itself started, for purposes of
// its own, from being taken for one that a script left behind: both are children
// of this process. It promises that nothing a job does makes a process spared:
// what counts is who started it, not what it is or says of itself.

// StartSpared starts such a program. done must be called when it has been waited
// for.
func StartSpared(cmd *exec.Cmd) (done func(), err error) { return running.startSpared(cmd) }

// startSpared excludes a simultaneous look at this process's children, as start
// does.
func (r *registry) startSpared(cmd *exec.Cmd) (func(), error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	pid := cmd.Process.Pid
	p, ok := readProcess(pid) // not waited for yet: the number is still its own
	if !ok {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, errors.New("a program that was just started is not in the process table")
	}
	r.spared[pid] = p.start
	return func() { r.unspare(pid, p.start) }, nil
}

func (r *registry) unspare(pid int, start uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.spared[pid] == start {
		delete(r.spared, pid)
	}
}

// spares says whether p was started by startSpared. Its own children are not
// spared; r.mu is held.
func (r *registry) spares(p process) bool {
	start, ok := r.spared[p.pid]
	return ok && start == p.start
}
