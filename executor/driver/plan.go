package driver

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strings"

	"envrole/executor"
	"envrole/roles/fault"
)

// Plan is all that the later stages must know of a job. It is made in prepare
// and kept sealed, so that they go by what the configuration said then. Fields
// may be added; a missing one must mean what an older EnvRole did.
type Plan struct {
	Prepare []string `json:"prepare,omitempty"` // program and arguments; none: nothing to prepare
	Run     []string `json:"run"`
	Cleanup []string `json:"cleanup,omitempty"`
	Inject  string   `json:"inject"`
	PassAWS []string `json:"pass_aws,omitempty"` // the runner's own AWS_* that the driver gets
	Mark    string   `json:"mark"`               // digest of the lease id: names the job's script copies
	// State and Lease say where the job's script copies are written down; without
	// them they are not.
	State string `json:"state,omitempty"`
	Lease string `json:"lease,omitempty"`
	// Config is only looked at: the config stage has run it already, and whoever
	// may change it has a say in the next job.
	Config []string `json:"config,omitempty"`
}

// planOf makes the plan of a job by the configuration alone.
func planOf(job executor.Job) Plan {
	v := job.Values
	p := Plan{
		Prepare: v.Texts(keyPrepare), Run: v.Texts(keyRun), Cleanup: v.Texts(keyCleanup), Config: v.Texts(keyConfig),
		Inject: v.Text(keyInject), Mark: mark(job.LeaseID), State: job.StateDir, Lease: job.LeaseID,
	}
	for _, name := range job.PassEnv {
		if strings.HasPrefix(name, "AWS_") { // everything else the driver gets anyway
			p.PassAWS = append(p.PassAWS, name)
		}
	}
	return p
}

// mark names a job on this host. It is a digest, because the lease id itself is
// what a stage may act on and is no business of the driver.
func mark(leaseID string) string {
	sum := sha256.Sum256([]byte("envrole driver job\x00" + leaseID))
	return hex.EncodeToString(sum[:10])
}

// startable says whether the programs are there: a job that cannot run is
// better told so before it gets a role.
func (p Plan) startable() error {
	for _, c := range []struct {
		key  string
		argv []string
	}{{keyPrepare, p.Prepare}, {keyRun, p.Run}, {keyCleanup, p.Cleanup}} {
		if len(c.argv) == 0 {
			continue
		}
		if _, err := exec.LookPath(c.argv[0]); err != nil {
			return fault.New(fault.Permanent, "find", "executor.driver."+c.key, err,
				"Administrator: install the wrapped driver, and see that the runner's user may run it.")
		}
	}
	return nil
}

func openPlan(raw json.RawMessage) (Plan, error) {
	const op = "open the plan of the driver base"
	var p Plan
	if err := json.Unmarshal(raw, &p); err != nil {
		return Plan{}, fault.New(fault.Internal, op, "", err, "")
	}
	if len(p.Run) == 0 || p.Mark == "" || !slices.Contains([]string{InjectScript, InjectEnv, InjectBoth}, p.Inject) {
		return Plan{}, fault.New(fault.Internal, op, "", errors.New("it is not complete, or of a version that this one does not know"), "")
	}
	return p, nil
}
