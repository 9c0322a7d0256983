package session

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"envrole/roles/seal"
)

// plainVersion is the format version of PlainSession. A field that is added
// does not raise it; a field that changes its meaning does.
const plainVersion = 1

// PlainSession is a Session with its secrets in the open, for one purpose: to
// be marshalled into the blob that the job key seals. It prints as [redacted],
// but encoding/json shows everything.
type PlainSession struct {
	Version          int       `json:"version"`
	AccessKeyID      string    `json:"access_key_id"`
	SecretAccessKey  string    `json:"secret_access_key"`
	SessionToken     string    `json:"session_token"`
	Expiration       time.Time `json:"expiration"`
	RoleARN          string    `json:"role_arn"`
	AssumedRoleARN   string    `json:"assumed_role_arn"`
	AssumedRoleID    string    `json:"assumed_role_id"`
	Name             string    `json:"name"`
	Region           string    `json:"region"`
	SourceIdentity   string    `json:"source_identity,omitempty"`
	PackedPolicySize int       `json:"packed_policy_size,omitempty"`
	TokenUtilization int       `json:"token_utilization,omitempty"`
	RequestID        string    `json:"request_id,omitempty"`
	DurationSeconds  int64     `json:"duration_seconds"`
	DroppedTags      []string  `json:"dropped_tags,omitempty"`
	Warnings         []string  `json:"warnings,omitempty"`
	ServerTime       time.Time `json:"server_time,omitzero"`
}

// Format implements fmt.Formatter: every verb prints [redacted].
func (PlainSession) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// LogValue implements slog.LogValuer.
func (PlainSession) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Plain gives the session with its secrets in the open, to be sealed at once.
func (s Session) Plain() PlainSession {
	return PlainSession{
		Version:          plainVersion,
		AccessKeyID:      s.AccessKeyID,
		SecretAccessKey:  s.SecretAccessKey.Reveal(),
		SessionToken:     s.SessionToken.Reveal(),
		Expiration:       s.Expiration,
		RoleARN:          s.RoleARN,
		AssumedRoleARN:   s.AssumedRoleARN,
		AssumedRoleID:    s.AssumedRoleID,
		Name:             s.Name,
		Region:           s.Region,
		SourceIdentity:   s.SourceIdentity,
		PackedPolicySize: s.PackedPolicySize,
		TokenUtilization: s.TokenUtilization,
		RequestID:        s.RequestID,
		DurationSeconds:  int64(s.Duration / time.Second),
		DroppedTags:      s.DroppedTags,
		Warnings:         s.Warnings,
		ServerTime:       s.ServerTime,
	}
}

// FromPlain reverses Plain. It fails for a format version it does not know and
// for a session without credentials, such as one that was marshalled without
// Plain; the error holds no secret.
func FromPlain(p PlainSession) (Session, error) {
	if p.Version != plainVersion {
		return Session{}, fmt.Errorf("session state: unknown format version %d, want %d", p.Version, plainVersion)
	}
	if p.AccessKeyID == "" || p.SecretAccessKey == "" || p.SessionToken == "" || p.Expiration.IsZero() {
		return Session{}, fmt.Errorf("session state: credentials are missing")
	}
	return Session{
		AccessKeyID:      p.AccessKeyID,
		SecretAccessKey:  seal.NewSecret(p.SecretAccessKey),
		SessionToken:     seal.NewSecret(p.SessionToken),
		Expiration:       p.Expiration,
		RoleARN:          p.RoleARN,
		AssumedRoleARN:   p.AssumedRoleARN,
		AssumedRoleID:    p.AssumedRoleID,
		Name:             p.Name,
		Region:           p.Region,
		SourceIdentity:   p.SourceIdentity,
		PackedPolicySize: p.PackedPolicySize,
		TokenUtilization: p.TokenUtilization,
		RequestID:        p.RequestID,
		Duration:         time.Duration(p.DurationSeconds) * time.Second,
		DroppedTags:      p.DroppedTags,
		Warnings:         p.Warnings,
		ServerTime:       p.ServerTime,
	}, nil
}
