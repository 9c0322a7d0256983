package lease

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Owner is the process that must live for a job to live: the runner. A PID of
// 0 (unknown) or 1 (the host's or container's init, which tells nothing about
// the job) means that the job counts as alive until its deadline.
type Owner struct {
	Writer       string `json:"writer,omitempty"`
	BootID       string `json:"boot_id,omitempty"`
	PIDNamespace string `json:"pid_namespace,omitempty"`
	PID          int    `json:"pid,omitempty"`
	StartTime    uint64 `json:"start_time,omitempty"`
}

// FindOwner finds the runner among this process's ancestors. A stage's parent
// is the runner only if nobody wraps the stages in sudo or a script, which die
// with their stage; so the config stage records its own chain (Ancestors) and
// prepare takes the nearest of its ancestors that is in it too: that process
// lives longer than one stage.
//
// The owner is valid even with an error: then no such process was found, and
// the job counts as alive until its deadline.
func FindOwner(chain []Process) (Owner, error) { return findOwner(ThisHost(), chain, Ancestors()) }

func findOwner(h Host, theirs, mine []Process) (Owner, error) {
	o := Owner{BootID: h.BootID, PIDNamespace: h.PIDNamespace}
	for _, p := range mine {
		if slices.Contains(theirs, p) {
			o.PID, o.StartTime = p.PID, p.Start
			break
		}
	}
	switch {
	case o.BootID == "" || o.PIDNamespace == "":
		return o, errors.New("find the runner process: boot id or pid namespace unknown; is /proc mounted?")
	case o.PID == 0:
		return o, errors.New("find the runner process: the stages have no ancestor in common")
	}
	return o, nil
}

// Dead says whether the lease's job is gone, and why. Past the deadline it is.
// Before, only a process that certainly ended counts, on the boot and in the
// pid namespace where the lease was made, and only while nobody holds the
// lease; another host or container that shares the state directory cannot tell.
func (l *Ledger) Dead(le Lease, now time.Time) (dead bool, why string) {
	if now.After(le.Deadline) {
		return true, "the job's deadline " + le.Deadline.UTC().Format(time.RFC3339) + " has passed"
	}
	o := le.Owner
	switch {
	case o.BootID == "" || o.PIDNamespace == "" || o.PID <= 0:
		return false, "the runner process is not known"
	case o.PID == 1:
		return false, "the runner process is pid 1"
	case o.BootID != l.host.BootID:
		return false, "the lease is from another boot or host"
	case o.PIDNamespace != l.host.PIDNamespace:
		return false, "the lease is from another pid namespace"
	case !l.host.Gone(o.PID, o.StartTime):
		return false, "the runner process lives"
	}
	held, err := l.Held(le.ID)
	switch {
	case err != nil:
		return false, err.Error()
	case held:
		return false, "a stage of the job still runs"
	}
	return true, fmt.Sprintf("the runner process %d is gone", o.PID)
}
