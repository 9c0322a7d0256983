package settings

import (
	"strings"
	"time"

	"envrole/roles"
)

// The bounds of the signing keys' ages. An hour of freshness is an hour in which
// a key that GitLab withdrew still counts; a week of staleness is a long outage.
const (
	minKeys      = time.Minute
	maxKeysFresh = 24 * time.Hour
	maxKeysStale = 7 * 24 * time.Hour
)

// ProofOf is the provenance that a proof gives, by its name in the file.
func ProofOf(name string) roles.Provenance {
	switch name {
	case ProofIDToken:
		return roles.IDToken
	case ProofUnverified:
		return roles.Unverified
	}
	return roles.GitLabAPI
}

// proof sets the proof that the rule demands: its own, or [gitlab]'s. A rule may
// ask for more than [gitlab] does, never for less.
func (t *table) proof(rule *roles.Rule, global string) {
	rule.Proof = ProofOf(t.or("proof", global))
	if rule.Proof < ProofOf(global) {
		t.problem("proof", t.place.key("proof"), "%q is less than the %q of [gitlab] proof; a rule may ask for more, never for less", t.text("proof"), global)
		rule.Proof = ProofOf(global)
	}
	if rule.Proof != roles.IDToken || global == ProofAPI {
		return
	}
	for _, key := range rule.TierKeys() {
		t.problem(key, t.place.key(key), `an ID token repeats the author's word on the tier; for GitLab's own, write proof = "api" into [gitlab] and proof = "id_token" into the rule: both are then asked`)
	}
}

// maxAudience is far above what a token's reader should have to compare.
const maxAudience = 255

// checkAudience accepts a name of EnvRole's own.
func checkAudience(v string) string {
	switch {
	case len(v) > maxAudience:
		return "longer than 255 bytes"
	case strings.ContainsFunc(v, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "may hold visible ASCII characters only"
	case strings.Contains(strings.ToLower(v), "amazonaws"):
		return "this is AWS's own audience: a job could take its token to AWS and assume the role itself, past every rule; use one that no AWS OIDC provider accepts"
	}
	return ""
}

// checkAudienceIsOwn refuses the instance's own address, which GitLab's guide
// for AWS makes an audience of AWS's OIDC provider.
func checkAudienceIsOwn(g GitLab, t *table) {
	if strings.TrimRight(g.Audience, "/") == g.URL && g.URL != "" {
		t.problem("audience", t.place.key("audience"), "the instance's own address is what GitLab's guide has AWS accept as an audience: a job could take its token to AWS and assume the role itself; use one that no AWS OIDC provider accepts")
	}
}

// Notes are what an administrator has to see to outside of the file; `envrole
// check` prints them. Nothing is wrong with the file for them.
func (s *Settings) Notes() []string {
	var notes []string
	for i := range s.Rules {
		if s.Rules[i].Proof >= roles.IDToken {
			notes = append(notes, `ID tokens are readable by their jobs: no OIDC provider in any AWS account may accept the audience "`+s.GitLab.Audience+`" of this GitLab, or jobs could assume roles themselves, past every rule and after cleanup (aws iam get-open-id-connect-provider lists a provider's audiences)`)
			break
		}
	}
	if len(s.Policy.Command) > 0 {
		notes = append(notes, "every job that a rule matches is put to "+s.Policy.Command[0]+"; if it fails, the job fails")
	}
	return notes
}
