// Package engine carries out a plan of the docker base through the Engine API.
// Only the envrole program links it.
//
// A job has a network, and on it one small container that does nothing but hold
// the network's namespace: it blocks the metadata services before any other
// container joins it, and no other has the rights to undo that. The job's
// container and the helper join it; every service has such a holder of its own.
// Scripts are run by the agent (package agent) inside the containers.
//
// Everything that is made for a job carries its mark as a label. Nothing without
// the label is ever removed, and whatever carries it can be found and removed
// without knowing anything else of the job.
package engine

import (
	"strconv"
	"time"

	"envrole/executor"
	"envrole/executor/docker"
)

// Engine is the executor of one job in containers.
type Engine struct {
	plan docker.Plan
	// Both are of Prepare alone: the containers it makes have their volumes.
	owner, slot string        // parts of the names of volumes; see slot.go
	beat        time.Duration // between two signs of life to the agent; 0 is heartbeat
}

const (
	heartbeat = 20 * time.Second
	// silentBeats is how many signs of life may be missing before a script is
	// ended: an Engine that is stopped for a moment must not end jobs.
	silentBeats = 15
)

var _ executor.Executor = (*Engine)(nil)

// New makes the executor of a plan. It does no I/O. For Cleanup alone Engine,
// Mark and Host are enough.
func New(plan docker.Plan) executor.Executor { return &Engine{plan: plan} }

// Where a plan of another version says nothing.
const (
	defaultTimeout     = 60 * time.Second
	defaultPullTimeout = 30 * time.Minute
	defaultGrace       = 10 * time.Second
)

func orElse(d, other time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return other
}

// Roles of what is made for a job, besides those of package docker.
const (
	roleHolder = "holder" // of a network's namespace; n is 0 for the job's, 1+i for service i's
	roleAgent  = "agent"  // image and volume with the agent
	roleVolume = "volume" // of the job alone
	roleUsers  = "users"  // a container that is never started; see owner.go
)

// holder names the container that holds the network of the job (n = 0) or of
// service n-1.
func (e *Engine) holder(n int) string {
	return e.plan.ContainerName(roleHolder, 0) + "-" + strconv.Itoa(n)
}

func (e *Engine) jobContainer() string { return e.plan.ContainerName(docker.RoleJob, 0) }

// helperContainer is where sub-stages run that are not the author's own.
func (e *Engine) helperContainer() string {
	if e.plan.Helper == nil {
		return e.jobContainer()
	}
	return e.plan.ContainerName(docker.RoleHelper, 0)
}

// volume names a volume of the job alone.
func (e *Engine) volume(role string) string { return e.plan.ContainerName(role, 0) }
