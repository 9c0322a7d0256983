// Package settings reads the configuration file. It is strict: an unknown key,
// a wrong type or a value that could not work is a problem with its line and
// key, and all problems of a file are reported at once.
package settings

import (
	"time"

	"envrole/roles"
	"envrole/roles/settings/schema"
)

// Settings is a valid configuration with every default filled in.
type Settings struct {
	File       string
	GitLab     GitLab
	AWS        AWS
	State      State
	Session    Session
	Revocation Revocation
	Executor   Executor
	Policy     Policy
	Rules      []roles.Rule // session defaults are merged into each rule's Grant
	// Warnings are things that are legal but deserve a look; `envrole check`
	// prints them.
	Warnings []Problem

	digest string
}

// Digest is the SHA-256 of the file's bytes in hex: the audit log says with it
// which configuration a decision was made under.
func (s *Settings) Digest() string { return s.digest }

// How an environment is proven.
const (
	ProofAPI        = "api"
	ProofUnverified = "unverified"
	ProofIDToken    = "id_token"
)

// GitLab is the [gitlab] table.
type GitLab struct {
	URL                string // with a path prefix if any, no trailing slash
	Proof              string
	CAFile             string
	LegacyRefProtected bool
	Timeout            time.Duration // of all calls to GitLab for one job together
	Audience           string        // of the ID tokens that are for EnvRole
	JWKSMaxAge         time.Duration // how long GitLab's signing keys count as fresh
	JWKSStale          time.Duration // how much longer they serve while GitLab gives none
}

// AWS is the [aws] table.
type AWS struct {
	Region  string
	Timeout time.Duration // of lending one session, chain and retries included
}

// State is the [state] table.
type State struct{ Dir string }

// Session is the [session] table: what is not in every rule's Grant.
type Session struct{ Enabled bool }

// Who writes deny policies.
const (
	IdentityRole   = "role"   // RoleARN is assumed
	IdentityRunner = "runner" // the runner's own identity
)

// Revocation is the [revocation] table.
type Revocation struct {
	Identity   string
	RoleARN    string // placeholders {partition} and {account} of the lent role
	ExternalID string
	Timeout    time.Duration // of one revocation at cleanup
}

// Executor is the [executor] table.
type Executor struct {
	Base    string
	PassEnv []string
	Tables  map[string]schema.Values // of every base, by its name
}

// Table is that of the chosen base.
func (e Executor) Table() schema.Values { return e.Tables[e.Base] }

// Problem is one thing wrong (or doubtful) in a configuration file.
type Problem struct {
	File string
	Line int // 1-based; 0 where the whole file is meant
	Key  string
	Msg  string
}
