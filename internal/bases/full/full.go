// Package full is the list of base executors with the libraries that they need.
// Only cmd/envrole links it: the stage programs start often, and become it where
// a job's base needs more than they have.
package full

import (
	"envrole/executor/docker"
	"envrole/executor/docker/engine"
	"envrole/internal/bases"
)

// Set is every base, each able to run jobs.
func Set() bases.Set {
	return bases.Lean().With(docker.New(docker.Engine{Open: engine.New, Sweep: engine.Sweep}))
}
