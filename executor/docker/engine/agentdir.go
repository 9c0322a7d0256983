package engine

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/moby/moby/api/types/mount"

	"envrole/executor/docker/agent"
)

// agentDir is where the containers of the job's images see the agent. Nobody who
// made an image, or left something in a volume, can know it: the Engine follows
// the links of an image when it mounts, and would follow one from the place of
// another volume (or of the image's own) to a place that is known, and so put
// that volume over the agent. Some of what the agent does is done as root.
func (e *Engine) agentDir() string {
	sum := sha256.Sum256([]byte("envrole docker agent\x00" + e.plan.LeaseID))
	return agent.Dir + "-" + hex.EncodeToString(sum[:16])
}

// agentPath is the agent's program there.
func (e *Engine) agentPath() string { return e.agentDir() + "/" + programName }

// agentMount is the volume of the agent. It is filled when the first holder,
// which runs the agent's own image, has it in the place of that image's program.
func (e *Engine) agentMount(target string) mount.Mount {
	m := named(e.agentVolume(), target, e.plan.Labels(roleAgent))
	m.ReadOnly = true
	return m
}
