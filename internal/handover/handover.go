// Package handover carries what prepare decided to the later stages of the same
// job, sealed with the job's key. The later stages trust it, and never the
// payload file: a job under the runner's user could rewrite that.
package handover

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"envrole/roles/seal"
)

// formatVersion is raised when a reader of the old format would misread the new.
// 1 knew no base but shell, and had its plan under another name.
const (
	formatVersion = 2
	oldestVersion = 1
)

// State is everything that run and cleanup need to know of a job.
type State struct {
	Version int   `json:"version"`
	JobID   int64 `json:"job_id"`
	// Session is what the job was lent; nil for a job without a role.
	Session *Session `json:"session,omitempty"`
	// Renewal is what the session may be asked for again with; nil in the state
	// of an EnvRole that could not.
	Renewal *Renewal `json:"renewal,omitempty"`
	// Base is the base executor that runs this job, Plan what it needs to know.
	Base string          `json:"base"`
	Plan json.RawMessage `json:"plan"`
	// Deadline is when the job must be over: its timeout and a grace.
	Deadline time.Time `json:"deadline"`
}

// Session is what user sub-stages get. It holds plain secrets: it exists in
// memory and inside a sealed blob, nowhere else.
type Session struct {
	AccessKeyID     string    `json:"access_key_id"`
	SecretAccessKey string    `json:"secret_access_key"`
	SessionToken    string    `json:"session_token"`
	Expiration      time.Time `json:"expiration"`
	Region          string    `json:"region"`
	RoleARN         string    `json:"role_arn"`
	Name            string    `json:"name"`
	Environment     string    `json:"environment"`
	SubStages       []string  `json:"sub_stages,omitempty"`
	// Delivery is how scripts get it: one of roles.Delivery*; "" is env.
	Delivery string `json:"delivery,omitempty"`

	// Generation counts the sessions of this name, from 1; 0 is unknown.
	Generation int `json:"generation,omitempty"`
	// Lifetime is how long AWS gave the session when it was made.
	Lifetime time.Duration `json:"lifetime,omitempty"`
	// GoodUntil is when it ends, as time since this host's boot; see Left. 0
	// is unknown.
	GoodUntil time.Duration `json:"good_until,omitempty"`
	// Earlier are the last sessions before this one, newest first. They are
	// kept for the log filter alone.
	Earlier []Earlier `json:"earlier,omitempty"`
}

// Format prints nothing of the session, whatever the verb.
func (Session) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// LogValue implements slog.LogValuer: a JSON handler would not use Format.
func (Session) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Env is the session as environment variables, "K=v", as it is now.
func (s *Session) Env(now Instant) []string {
	return append(
		[]string{
			"AWS_ACCESS_KEY_ID=" + s.AccessKeyID,
			"AWS_SECRET_ACCESS_KEY=" + s.SecretAccessKey,
			"AWS_SESSION_TOKEN=" + s.SessionToken,
			"AWS_CREDENTIAL_EXPIRATION=" + s.ToldEnd(now).UTC().Format(time.RFC3339),
		},
		s.Names()...,
	)
}

// Names is what scripts learn of the session besides its credentials, "K=v".
func (s *Session) Names() []string {
	return []string{
		"AWS_REGION=" + s.Region,
		"AWS_DEFAULT_REGION=" + s.Region,
		"ENVROLE_ROLE_ARN=" + s.RoleARN,
		"ENVROLE_SESSION_NAME=" + s.Name,
		"ENVROLE_ENVIRONMENT=" + s.Environment,
	}
}

// Secrets are the values that the job's log must not show: those of this
// session, and of the last ones before it.
func (s *Session) Secrets() []string {
	secrets := []string{s.SecretAccessKey, s.SessionToken}
	for _, e := range s.Earlier {
		secrets = append(secrets, e.SecretAccessKey, e.SessionToken)
	}
	return secrets
}

// Seal turns the state into a blob that only key opens, and only for leaseID.
func Seal(key seal.Key, leaseID string, s State) ([]byte, error) {
	s.Version = formatVersion
	plain, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode hand-over: %w", err)
	}
	return key.Seal(plain, leaseID)
}

// Open reverses Seal.
func Open(key seal.Key, leaseID string, blob []byte) (State, error) {
	plain, err := key.Open(blob, leaseID)
	if err != nil {
		return State{}, err
	}
	var s State
	if err := json.Unmarshal(plain, &s); err != nil {
		// The cause may quote what it could not read: keep it out.
		return State{}, fmt.Errorf("decode hand-over: %w", seal.ErrOpen)
	}
	switch {
	case s.Version < oldestVersion || s.Version > formatVersion:
		return State{}, fmt.Errorf("hand-over: %w %d", seal.ErrVersion, s.Version)
	case s.Version == oldestVersion:
		return s.fromOldest(plain)
	}
	return s, nil
}

// fromOldest reads what was the shell base's alone.
func (s State) fromOldest(plain []byte) (State, error) {
	var old struct {
		Shell json.RawMessage `json:"shell"`
	}
	if err := json.Unmarshal(plain, &old); err != nil {
		return State{}, fmt.Errorf("decode hand-over: %w", seal.ErrOpen)
	}
	s.Base, s.Plan = "shell", old.Shell
	return s, nil
}
