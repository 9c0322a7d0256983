package stage

import (
	"errors"
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

// handedOp names the reading in errors.
const handedOp = "read job_env"

// ReadHanded reads job_env. A runner without config_exec sets none of it. With
// an error, LeaseID and StateDir are still good where they are not empty: they
// are all that is needed to take a session back.
func ReadHanded() (Handed, error) {
	h, err := ReadHandedButKey()
	if err != nil {
		return h, err
	}
	if h.Key, err = seal.ParseKey(os.Getenv(EnvKey)); err != nil {
		return h, fault.New(fault.Internal, handedOp, EnvKey, err, "")
	}
	return h, nil
}

// NothingHanded says whether config has handed nothing on: it has refused the
// job, or the runner does not call it.
func NothingHanded(err error) bool { return errors.Is(err, errNotHanded) }

// ReadHandedButKey is ReadHanded for who gets the job's key in another way.
func ReadHandedButKey() (Handed, error) {
	h := Handed{LeaseID: os.Getenv(EnvLease), StateDir: os.Getenv(EnvState)}
	if h.LeaseID == "" || h.StateDir == "" {
		return Handed{}, fault.New(fault.Permanent, handedOp, EnvLease, errNotHanded,
			"Set config_exec = \"/usr/local/bin/envrole-config\" in [runners.custom] of the runner's config.toml: the other stages work only with what it hands on.")
	}
	if !lease.ValidID(h.LeaseID) {
		return Handed{}, fault.New(fault.Internal, handedOp, EnvLease, errBadLease, "")
	}
	var err error
	if h.Owner, err = lease.DecodeChain(os.Getenv(EnvOwner)); err != nil {
		return h, fault.New(fault.Internal, handedOp, EnvOwner, err, "")
	}
	return h, nil
}
