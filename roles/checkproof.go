package roles

import (
	"slices"
	"strings"
)

// This file checks what a rule asks of proofs, and says which proofs a job has
// to bring.

// checkProof refuses conditions that the demanded proof can never meet.
func (r *Rule) checkProof(p *problems) {
	for _, t := range noneOf(r.UserAccessLevels, knownAccessLevels()) {
		p.warnf("user_access_levels", "%s is no role in a project that EnvRole knows; there are %s",
			quote(t), strings.Join(knownAccessLevels(), ", "))
	}
	for _, c := range r.CIConfig {
		r.checkConfig(p, string(c))
	}
	if r.Proof == IDToken {
		return
	}
	for _, key := range r.signedConditions() {
		p.errorf(key, `only an ID token says it: write proof = "id_token" into the rule, or into [gitlab]`)
	}
}

// checkConfig: GitLab writes PROJECT//FILE@REF, with the ref in full.
func (r *Rule) checkConfig(p *problems, c string) {
	if c == "" || c == "*" {
		return // Validate says that it is empty
	}
	project, rest, file := strings.Cut(c, "//")
	_, ref, at := strings.Cut(rest, "@")
	switch {
	case !file || !at || project == "" || !strings.HasPrefix(ref, "refs/") && !strings.HasPrefix(ref, "*"):
		p.errorf("ci_config", `%s matches no configuration; one looks like "group/project//.gitlab-ci.yml@refs/heads/main"`, quote(c))
	case strings.Contains(ref, "*") && r.AnyRef:
		p.warnf("ci_config", "%s takes a configuration of any branch, and with ref_protected = false anyone may push one", quote(c))
	}
}

// signedConditions are the keys of the conditions that an ID token alone meets.
func (r *Rule) signedConditions() []string {
	var keys []string
	if r.EnvironmentProtected {
		keys = append(keys, "environment_protected")
	}
	if len(r.UserAccessLevels) > 0 {
		keys = append(keys, "user_access_levels")
	}
	if len(r.CIConfig) > 0 {
		keys = append(keys, "ci_config")
	}
	return keys
}

// knownAccessLevels are the values of the claim user_access_level.
func knownAccessLevels() []string {
	return []string{"minimal access", "guest", "planner", "reporter", "security manager", "developer", "maintainer", "owner"}
}

// TierKeys are the keys by which the rule rests on the environment's stored
// tier. GitLab's API alone says it: an ID token repeats the author's word.
func (r *Rule) TierKeys() []string {
	var keys []string
	if len(r.Tiers) > 0 {
		keys = append(keys, "tiers")
	}
	for _, t := range r.Grant.texts() {
		names, _ := Placeholders(t.text) // an error is reported by Grant.check
		if slices.Contains(names, phTier) && !slices.Contains(keys, t.key) {
			keys = append(keys, t.key)
		}
	}
	return keys
}

// Demand is which proofs the rules that could match a job ask for.
type Demand struct{ API, IDToken bool }

// Demanded says what Possible says, rule by rule: which proofs are asked for by
// the rules that could match should one of names be the job's environment.
func Demanded(rules []Rule, f Facts, names []string) Demand {
	f.Environment, f.EnvironmentSlug, f.Tier, f.UserLogin = Fact{}, Fact{}, Fact{}, Fact{}
	names = distinct(names)
	var d Demand
	for i := range rules {
		r := &rules[i]
		if r.firstCertainFailure(&f, names) != Matched {
			continue
		}
		d.API = d.API || r.Proof == GitLabAPI
		d.IDToken = d.IDToken || r.Proof == IDToken
	}
	return d
}
