// Package idtoken proves a job's environment by an ID token that GitLab signed.
//
// What it promises: an environment comes out of Verify only if one of the job's
// variables holds a token whose signature (RS256 or ES256, nothing else) fits a
// key that GitLab publishes at the configured address, that is valid now, that
// is for the configured audience alone, and that names this very job, project,
// pipeline and user. A variable's name means nothing. Keys are taken from the
// instance's own address and never from a token. The token is proof and no
// credential: it is sent nowhere, and is in no error and no log.
package idtoken

import (
	"context"
	"errors"
	"fmt"
	"time"

	"envrole/executor/job"
	"envrole/roles"
	"envrole/roles/fault"
	"envrole/roles/seal"
)

const opVerify = "verify the job's ID token"

// Fetcher gives GitLab's public documents; *proof.Client is one.
type Fetcher interface {
	Document(ctx context.Context, path, what, expects string) ([]byte, error)
}

// Options says which tokens count and how keys are kept.
type Options struct {
	Issuer   string // [gitlab] url, without a slash at its end
	Audience string // [gitlab] audience
	// Dir is where the keys are cached (the state directory), mode 0700.
	Dir string
	// MaxAge is how long fetched keys count as fresh, Stale for how much
	// longer they may be used while GitLab does not answer.
	MaxAge, Stale time.Duration
	Timeout       time.Duration // of fetching keys
	GitLab        Fetcher
	// Offline takes keys from the cache alone, however old, and looks at no
	// token's time: for explaining a job of the past, never for lending.
	Offline bool
	Now     func() time.Time // nil is the real clock
}

// Verifier verifies ID tokens.
type Verifier struct {
	opts Options
	keys *keyring
}

// New makes a verifier. It touches neither disk nor network.
func New(o Options) *Verifier {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Verifier{opts: o, keys: &keyring{opts: o}}
}

// Subject is the job that a token must belong to, as the payload says. Ids are
// 0 where unknown (never JobID and ProjectID).
type Subject struct {
	JobID, ProjectID, PipelineID, UserID int64

	ProjectPath string
	Ref         string // "" where unknown
	Tag         bool
	Protected   *bool // nil where the payload does not say
	// ClaimedName and ClaimedSlug are what the payload's variables say of the
	// environment; "" claims none.
	ClaimedName, ClaimedSlug string
}

// SubjectOf takes a subject from a payload, the facts made of it, and its
// linted claims.
func SubjectOf(p *job.Payload, f roles.Facts, c job.Claims) Subject {
	return Subject{
		JobID: f.JobID, ProjectID: f.ProjectID, PipelineID: f.PipelineID, UserID: f.UserID,
		ProjectPath: f.ProjectPath.Value, Ref: f.Ref.Value, Tag: f.Tag,
		Protected: p.Git.Protected, ClaimedName: c.Name(), ClaimedSlug: c.Slug(),
	}
}

// Proof is what a verified token says. Texts are "" where it says nothing.
type Proof struct {
	Claims
	TokenID string // jti, for the audit log
	KeyID   string // of the key that signed it
	// KeysAge is how old the key list is; Stale says that it is past its
	// time, because GitLab did not give a newer one.
	KeysAge time.Duration
	Stale   bool
	// Warnings are for the job's log.
	Warnings []string
}

// Verify finds the job's ID token among tokens and verifies it. Without one the
// error is Missing; a token that is not this job's, forged or expired is
// Refused; keys that cannot be had just now are Passing. Of several valid tokens
// the first counts, if all say the same.
func (v *Verifier) Verify(ctx context.Context, s Subject, tokens []seal.Secret, leftOut int) (Proof, error) {
	if s.JobID <= 0 || s.ProjectID <= 0 {
		return Proof{}, fault.New(fault.Internal, opVerify, "", errors.New("job or project id unknown"), "")
	}
	candidates, others := v.candidates(tokens)
	if len(candidates) == 0 {
		return Proof{}, v.missing(others, leftOut)
	}
	var (
		valid  []Proof
		failed error
	)
	for _, c := range candidates {
		p, err := v.verify(ctx, s, c)
		switch {
		case err == nil:
			valid = append(valid, p)
		case failed == nil || fault.ClassOf(err) == fault.Passing:
			failed = err // what may be gone in a minute is said first
		}
	}
	if len(valid) == 0 {
		return Proof{}, failed
	}
	for _, p := range valid[1:] {
		if p.Claims != valid[0].Claims {
			return Proof{}, refuse(helpOne, "two valid ID tokens of the job contradict each other")
		}
	}
	return valid[0], nil
}

// HasToken says whether one of the tokens claims to be for EnvRole. Nothing is
// verified.
func (v *Verifier) HasToken(tokens []seal.Secret) bool {
	found, _ := v.candidates(tokens)
	return len(found) > 0
}

// verify takes one candidate the whole way.
func (v *Verifier) verify(ctx context.Context, s Subject, c candidate) (Proof, error) {
	// What could not pass anyway must not make us ask for keys.
	if c.jobID != s.JobID {
		return Proof{}, refuse(helpOther, "the ID token belongs to job %d, this is job %d", c.jobID, s.JobID)
	}
	if c.others {
		return Proof{}, refuse(helpAlone, "the ID token has other audiences besides %s", job.Quote(v.opts.Audience))
	}
	signed, err := parseSigned(c.token)
	if err != nil {
		return Proof{}, err
	}
	key, err := v.keys.key(ctx, signed.keyID)
	if err != nil {
		return Proof{}, err
	}
	payload, err := signed.verified(key.public)
	if err != nil {
		return Proof{}, err
	}
	claims, stamp, err := parseClaims(payload)
	if err != nil {
		return Proof{}, refuse(helpShape, "unexpected claims in the ID token: %w", err)
	}
	if err := v.current(stamp); err != nil {
		return Proof{}, err
	}
	if stamp.issuer != v.opts.Issuer || len(stamp.audience) != 1 || stamp.audience[0] != v.opts.Audience {
		return Proof{}, refuse(helpAlone, "the ID token is not for %s at %s alone", job.Quote(v.opts.Audience), job.Quote(v.opts.Issuer))
	}
	if err := claims.matches(s); err != nil {
		return Proof{}, err
	}
	claims.Config, claims.Slug = configOf(claims, v.opts.Issuer), slugOf(claims, s)
	return Proof{
		Claims: claims, TokenID: stamp.id, KeyID: signed.keyID,
		KeysAge: key.age, Stale: key.stale, Warnings: key.warnings,
	}, nil
}

// leeway is how far GitLab's clock and ours may differ. A job's token lives as
// long as the job may run, so nothing hangs on a larger one.
const leeway = 30 * time.Second

// current refuses a token outside of its time.
func (v *Verifier) current(s stamp) error {
	if v.opts.Offline {
		return nil
	}
	now := v.opts.Now()
	ago := func(t time.Time) time.Duration { return now.Sub(t).Round(time.Second) }
	switch {
	case now.After(s.expires.Add(leeway)):
		return refuse(helpClock, "the ID token expired %s ago", ago(s.expires))
	case now.Before(s.notBefore.Add(-leeway)):
		return refuse(helpClock, "the ID token is valid in %s only", -ago(s.notBefore))
	case now.Before(s.issued.Add(-leeway)):
		return refuse(helpClock, "the ID token was issued %s from now", -ago(s.issued))
	}
	return nil
}

func refuse(help, format string, args ...any) error {
	return fault.New(fault.Refused, opVerify, "", fmt.Errorf(format, args...), help)
}

// What a job's author can do about a refused token.
const (
	helpOther = "A token counts for its own job only: let `id_tokens:` of this very job make it, and hand none on " +
		"from another job (dotenv artifacts, caches, CI/CD variables)."
	helpAlone = "Give EnvRole a token of its own, with one `aud:`. Other services get theirs under other names in `id_tokens:`."
	helpOne   = "Keep one entry for EnvRole in the job's `id_tokens:`, and set no CI/CD variable to a token by hand."
	helpClock = "Run the job again. If it stays so, compare the clocks of this host and of GitLab."
	helpShape = "EnvRole knows the ID tokens of GitLab 16.2 to 19. Keep one entry for EnvRole in the job's `id_tokens:`, " +
		"and set no CI/CD variable to a token by hand."
	helpForged = "Keep one entry for EnvRole in the job's `id_tokens:`, and set no CI/CD variable to a token by hand. If GitLab " +
		"itself made this token, check that [gitlab] url is the GitLab that this runner is registered with."
	helpClaim = "The environment comes from `environment:` in the job's YAML alone. Remove CI_ENVIRONMENT_NAME wherever " +
		"it is set by hand: project, group and instance variables, `variables:` in .gitlab-ci.yml, pipeline variables, dotenv artifacts."
)
