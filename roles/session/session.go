// Package session lends one AWS role session to one job: it asks STS for it,
// with the tags, the name and the duration that the rule and AWS allow, and
// says of every failure whether a second try could help.
//
// What it promises: exactly one session per job and name; no secret in an
// error, a warning or a log; nothing is lent whose name or identity in AWS
// differs from the one that was recorded before STS was asked, because such a
// session could not be revoked. It is the only package that imports the STS
// client.
package session

import (
	"time"

	"envrole/roles"
	"envrole/roles/seal"
)

// Request is everything needed to lend one session.
type Request struct {
	// Grant is the rule's grant with every placeholder filled.
	Grant roles.Grant
	// Name is the role session name, made by NewName before anything else.
	Name string
	// Tags are EnvRole's own session tags, made by Tags.
	Tags []Tag
	// JobTimeout is the job's own limit. AWS is not told; it is kept for the
	// reader of a request.
	JobTimeout time.Duration
}

// Session is one set of temporary credentials and all that AWS said of it. It
// formats and marshals with its secrets redacted.
type Session struct {
	AccessKeyID     string
	SecretAccessKey seal.Secret
	SessionToken    seal.Secret
	Expiration      time.Time // by AWS's clock, UTC

	RoleARN        string // the role that was asked for
	AssumedRoleARN string // arn:...:assumed-role/ROLE/NAME
	AssumedRoleID  string // AROA...:NAME, the later aws:userid
	Name           string
	Region         string
	SourceIdentity string // "" if none was set

	// PackedPolicySize is how full AWS's packed form of policies and tags
	// is, in percent.
	PackedPolicySize int
	// TokenUtilization is how much of the greatest session token this one
	// takes, in percent; 0 where AWS does not say.
	TokenUtilization int
	// RequestID finds the call in CloudTrail.
	RequestID string

	// Duration is what was asked of STS, after clamping.
	Duration time.Duration
	// DroppedTags are the keys of EnvRole's own tags that were left out under
	// session_tags = "best-effort".
	DroppedTags []string
	// Warnings are sentences for the job log; they hold no secret.
	Warnings []string
	// ServerTime is the Date of STS's answer, AWS's own clock; zero if it
	// had none.
	ServerTime time.Time
}
