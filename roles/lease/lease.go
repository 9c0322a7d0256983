// Package lease keeps the ledger: one file for every session that may exist.
//
// What it guarantees: a lease is on disk, fsynced, before its session is asked
// for; a reader sees a whole record or none, whatever is killed when; a record
// only ever moves towards its end (asked, lent, closing, denied), its expiry
// never shrinks, and what makes up the session's identity never changes. A
// record that cannot be read is reported and kept, never dropped.
//
// The package knows files, locks and processes. It does not talk to AWS and
// links nothing but the standard library and x/sys, because every run sub-stage
// starts with it.
package lease

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Version is the format that this program writes. Every added field or changed
// meaning raises it: an older program then leaves the record alone instead of
// dropping what it does not know.
const Version = 1

// maxRecord bounds one record in bytes, so that a damaged file cannot fill the
// memory. The longest texts (URL, ARN, names) come to a tenth of it.
const maxRecord = 64 << 10

// State is where a lease stands in its life. An expired lease has no file.
type State string

// The states, in the order of a lease's life.
const (
	Asked     State = "asked"     // STS is about to be asked, or its answer was never seen
	Lent      State = "lent"      // STS answered
	Closing   State = "closing"   // cleanup or sweep began; no refresh any more
	Denied    State = "denied"    // the deny is written, or there is nothing to write (see Note)
	Unrevoked State = "unrevoked" // the deny could not be written; tried again by every sweep
)

var (
	// ErrNotFound means that there is no such lease (any more).
	ErrNotFound = errors.New("no such lease")
	// ErrExists means that a lease with this id is there already.
	ErrExists = errors.New("lease exists already")
	// ErrNewer means that a newer EnvRole wrote the record; it is left alone.
	ErrNewer = errors.New("written by a newer EnvRole")
	// ErrDamaged means that the file holds no whole, valid record.
	ErrDamaged = errors.New("damaged record")
	// ErrTransition means that a change would have turned a lease's life back.
	ErrTransition = errors.New("change of a lease not allowed")
)

// Lease is the record that a session may exist. It holds no secret.
type Lease struct {
	Version int    `json:"version"`
	ID      string `json:"id"`
	State   State  `json:"state"`

	JobID       int64  `json:"job_id"`
	ProjectID   int64  `json:"project_id,omitempty"`
	PipelineID  int64  `json:"pipeline_id,omitempty"`
	Project     string `json:"project,omitempty"`
	Environment string `json:"environment,omitempty"`
	Rule        string `json:"rule,omitempty"`
	JobURL      string `json:"job_url,omitempty"`

	RoleARN     string `json:"role_arn"`
	Region      string `json:"region,omitempty"`
	SessionName string `json:"session_name"`
	AccessKeyID string `json:"access_key_id,omitempty"`
	// Revoke is "policy" or "local", as in the rule.
	Revoke string `json:"revoke"`

	AskedAt time.Time `json:"asked_at,omitzero"`
	// ExpiresAt is the latest instant at which the session can still be valid.
	// Before STS is asked it is this host's clock plus the longest time the
	// call may take plus the duration; after the answer the later of that and
	// what STS said.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Deadline is the job's timeout plus grace: after it the job counts as
	// gone, whatever else is known.
	Deadline  time.Time `json:"deadline,omitzero"`
	ClosingAt time.Time `json:"closing_at,omitzero"`
	DeniedAt  time.Time `json:"denied_at,omitzero"`
	Owner     Owner     `json:"owner"`

	// Writer and Window name the policy that holds the deny; both are empty
	// where none was written.
	Writer string `json:"writer,omitempty"`
	Window string `json:"window,omitempty"`

	// Attempts counts tries to write the deny; AttemptedAt, LastError and
	// LastReason tell of the last one that failed.
	Attempts    int       `json:"attempts,omitempty"`
	AttemptedAt time.Time `json:"attempted_at,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
	LastReason  string    `json:"last_reason,omitempty"`
	// Note says how a lease was settled where that was not by a deny:
	// NoteLocal or NoteRoleGone.
	Note string `json:"note,omitempty"`
}

// The ways in which a lease is settled without a deny.
const (
	NoteLocal    = "local"     // the credentials were destroyed, nothing more was asked for
	NoteRoleGone = "role gone" // the role was deleted, and its sessions with it
)

// Settled says that nothing is left to do for the lease but to wait for its expiry.
func (le Lease) Settled() bool { return le.State == Denied }

// Damaged is a file in the ledger that is no readable lease.
type Damaged struct {
	ID    string // as far as the file's name gives one
	File  string // the file's path
	Newer bool   // a newer EnvRole wrote it: not broken, only unknown here
	Err   error
}

func encode(le Lease) ([]byte, error) {
	b, err := json.MarshalIndent(le, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode lease %s: %w", le.ID, err)
	}
	if len(b) >= maxRecord {
		return nil, fmt.Errorf("lease %s: record of %d bytes is too large", le.ID, len(b))
	}
	return append(b, '\n'), nil
}

// decode reads the record of lease id. It is strict: what it accepts it can
// write back without loss.
func decode(id string, b []byte) (Lease, error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return Lease{}, fmt.Errorf("lease %s: %w: %w", id, ErrDamaged, err)
	}
	if head.Version > Version {
		return Lease{}, fmt.Errorf("lease %s: format %d: %w", id, head.Version, ErrNewer)
	}
	var le Lease
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&le); err != nil {
		return Lease{}, fmt.Errorf("lease %s: %w: %w", id, ErrDamaged, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Lease{}, fmt.Errorf("lease %s: %w: text after the record", id, ErrDamaged)
	}
	if le.Version < 1 || le.ID != id || !known(le.State) {
		return Lease{}, fmt.Errorf("lease %s: %w: version %d, id %q, state %q", id, ErrDamaged, le.Version, le.ID, le.State)
	}
	return le, nil
}

func known(s State) bool {
	switch s {
	case Asked, Lent, Closing, Denied, Unrevoked:
		return true
	}
	return false
}
