package fakeaws

import "time"

// DefaultAccount is the account of DefaultUser.
const DefaultAccount = "111122223333"

// DefaultUser is the ARN of the user a server has when Options.Users is empty.
const DefaultUser = "arn:aws:iam::" + DefaultAccount + ":user/runner"

// Options says what the stand-in knows and how it behaves. The zero value is a
// server with DefaultUser and no roles.
type Options struct {
	// Users are the long-term identities. Empty means DefaultUser, who may
	// assume every role that trusts it and do nothing else.
	Users []User
	Roles []Role

	// MinDuration lowers the shortest session AssumeRole grants, 900 s at AWS,
	// so that a test can see a session expire.
	MinDuration time.Duration
	// SessionLimit, if not 0, ends every session after that time whatever was
	// asked, so that a test can see sessions of seconds be renewed.
	SessionLimit time.Duration
	// PackedLimit is the space for session policies and tags after packing, in
	// bytes; 0 means 1,024. AWS does not publish its own, and announced with the
	// SDKs of September 2026 that only the session token is limited any more.
	PackedLimit int
	// TokenSize is the least length of session tokens, up to 4,096 characters;
	// 0 means some length between 500 and 1,200.
	TokenSize int
	// PropagationDelay passes between a change of a policy and its effect.
	PropagationDelay time.Duration
	// Regions limits the regions a credential scope may name; empty means any.
	Regions []string
	// Now is the server's clock; nil means time.Now.
	Now func() time.Time
}

// User is a long-term identity with an access key.
type User struct {
	ARN string
	// AccessKeyID and SecretAccessKey are made up when empty.
	AccessKeyID     string
	SecretAccessKey string
	// Allow is what the user's own policies grant.
	Allow []Permission
}

// Role is an IAM role and its trust policy.
type Role struct {
	ARN string
	// RoleID is made up (AROA...) when empty.
	RoleID string
	// MaxSessionDuration is one hour when zero, as at AWS.
	MaxSessionDuration time.Duration

	// TrustedPrincipals may assume the role: ARNs of users, of roles (any
	// session of them), of an account's root (anybody there whose own policies
	// allow it), or "*". Nobody when empty.
	TrustedPrincipals []string
	// RequireExternalID is the sts:ExternalId that the trust policy demands.
	RequireExternalID string
	// AllowTagSession and AllowSetSourceIdentity say whether the trust policy
	// allows sts:TagSession and sts:SetSourceIdentity.
	AllowTagSession        bool
	AllowSetSourceIdentity bool

	// Allow is what the role's permissions grant. nil means only
	// s3:ListAllMyBuckets, the ordinary call; an empty list means nothing.
	Allow []Permission
}

// Permission allows actions on resources. Both may hold * and ?; no resources
// means all.
type Permission struct {
	Actions   []string
	Resources []string
}
