package stage

import (
	"os"

	"envrole/roles/fault"
	"envrole/roles/lease"
	"envrole/roles/seal"
)

// The environment variables by which the config stage hands a job on to the
// later ones. The runner keeps them in its memory (job_env) and sets them for
// each call; CI/CD variables arrive as CUSTOM_ENV_* and cannot replace them.
const (
	EnvLease = "ENVROLE_LEASE_ID"
	EnvKey   = "ENVROLE_JOB_KEY"
	EnvState = "ENVROLE_STATE_DIR"
	EnvOwner = "ENVROLE_RUNNER"
)

// Handed is what the config stage handed on.
type Handed struct {
	LeaseID  string
	Key      seal.Key
	StateDir string
	Owner    []lease.Process // the config stage's ancestors
}

// ReadHanded reads job_env. A runner without config_exec sets none of it. With
// an error, LeaseID and StateDir are still good where they are not empty: they
// are all that is needed to take a session back.
func ReadHanded() (Handed, error) {
	const op = "read job_env"
	h := Handed{LeaseID: os.Getenv(EnvLease), StateDir: os.Getenv(EnvState)}
	if h.LeaseID == "" || h.StateDir == "" {
		return Handed{}, fault.New(fault.Permanent, op, EnvLease, errNotHanded,
			"Set config_exec = \"/usr/local/bin/envrole-config\" in [runners.custom] of the runner's config.toml: the other stages work only with what it hands on.")
	}
	if !lease.ValidID(h.LeaseID) {
		return Handed{}, fault.New(fault.Internal, op, EnvLease, errBadLease, "")
	}
	key, err := seal.ParseKey(os.Getenv(EnvKey))
	if err != nil {
		return h, fault.New(fault.Internal, op, EnvKey, err, "")
	}
	h.Key = key
	if h.Owner, err = lease.DecodeChain(os.Getenv(EnvOwner)); err != nil {
		return h, fault.New(fault.Internal, op, EnvOwner, err, "")
	}
	return h, nil
}
