package roles

import (
	"strings"
	"testing"
)

// signedRule and signedFacts match each other.
func signedRule() Rule {
	r := deployRule()
	r.Proof = IDToken
	r.EnvironmentProtected = true
	r.UserAccessLevels = []Pattern{"maintainer", "owner"}
	r.CIConfig = []Pattern{"acme/shop/web//.gitlab-ci.yml@refs/heads/main"}
	return r
}

func signedFacts() Facts {
	f := deployFacts()
	f.Environment.From = IDToken
	f.EnvironmentProtected = Fact{"true", IDToken}
	f.UserAccessLevel = Fact{"maintainer", IDToken}
	f.CIConfig = Fact{"acme/shop/web//.gitlab-ci.yml@refs/heads/main", IDToken}
	return f
}

func TestConditionsOnSignedClaims(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Facts)
		want   Condition
	}{
		{"all hold", func(*Facts) {}, Matched},
		{"both proofs", func(f *Facts) { f.Environment.From = IDTokenAndAPI }, Matched},
		{"API alone", func(f *Facts) { f.Environment.From = GitLabAPI }, CondProof},
		{"a claim alone", func(f *Facts) { f.Environment.From = Unverified }, CondProof},
		{"environment not protected", func(f *Facts) { f.EnvironmentProtected.Value = "false" }, CondEnvironmentProtected},
		{"protection unknown", func(f *Facts) { f.EnvironmentProtected = Fact{} }, CondEnvironmentProtected},
		{"protection by the author's word", func(f *Facts) { f.EnvironmentProtected.From = Author }, CondEnvironmentProtected},
		{"protection by the API", func(f *Facts) { f.EnvironmentProtected.From = GitLabAPI }, CondEnvironmentProtected},
		{"a developer", func(f *Facts) { f.UserAccessLevel.Value = "developer" }, CondUserAccessLevels},
		{"level unknown", func(f *Facts) { f.UserAccessLevel = Fact{} }, CondUserAccessLevels},
		{"level by the author's word", func(f *Facts) { f.UserAccessLevel.From = Author }, CondUserAccessLevels},
		{"configuration of a branch", func(f *Facts) { f.CIConfig.Value += "-2" }, CondCIConfig},
		{"configuration unknown", func(f *Facts) { f.CIConfig = Fact{} }, CondCIConfig},
		{"configuration of the payload", func(f *Facts) { f.CIConfig.From = Payload }, CondCIConfig},
	} {
		f := signedFacts()
		c.change(&f)
		r := signedRule()
		if got := r.firstFailure(&f); got != c.want {
			t.Errorf("%s: failed at %q, want %q", c.name, got.Key(), c.want.Key())
		}
	}
}

func TestARuleThatWantsAStrongerProofRefusesAndIsNotPassedOver(t *testing.T) {
	weaker := deployRule()
	weaker.Name = "weaker"
	f := deployFacts()
	d := Decide([]Rule{signedRule(), weaker}, f)
	if d.Outcome != Refuse || !d.ForProof() || !strings.Contains(d.Why, `proven by GitLab (API); the rule wants GitLab (ID token)`) {
		t.Errorf("%s: %s", d.Outcome, d.Why)
	}
	f.RefProtected = false // another condition fails too: the rule is none of the job's business
	d = Decide([]Rule{signedRule(), weaker}, f)
	if d.Outcome != NoRole || d.ForProof() {
		t.Errorf("%s: %s", d.Outcome, d.Why)
	}
	f = signedFacts()
	f.EnvironmentProtected.Value = "false" // a proof is there: its claims are conditions as any
	d = Decide([]Rule{signedRule(), weaker}, f)
	if d.Outcome != Lend || d.Rule.Name != "weaker" {
		t.Errorf("%s: %s", d.Outcome, d.Why)
	}
}

func TestCheckOfWhatRestsOnAProof(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*Rule)
		key     string
		warning bool
	}{
		{"as it should be", func(*Rule) {}, "", false},
		{"protected without a token", func(r *Rule) { r.Proof = GitLabAPI; r.UserAccessLevels, r.CIConfig = nil, nil }, "environment_protected", false},
		{"levels without a token", func(r *Rule) { r.Proof = Absent; r.EnvironmentProtected, r.CIConfig = false, nil }, "user_access_levels", false},
		{"configuration without a token", func(r *Rule) { r.Proof = Unverified; r.EnvironmentProtected, r.UserAccessLevels = false, nil }, "ci_config", false},
		{"a level that is none", func(r *Rule) { r.UserAccessLevels = []Pattern{"boss"} }, "user_access_levels", true},
		{"configuration with a host", func(r *Rule) { r.CIConfig = []Pattern{"gitlab.example.com/a/b/.gitlab-ci.yml"} }, "ci_config", false},
		{"configuration with a short ref", func(r *Rule) { r.CIConfig = []Pattern{"a/b//.gitlab-ci.yml@main"} }, "ci_config", false},
		{"configuration of any branch", func(r *Rule) { r.CIConfig = []Pattern{"a/b//.gitlab-ci.yml@*"}; r.AnyRef = true }, "ci_config", true},
	} {
		r := signedRule()
		c.change(&r)
		found := r.Check()
		if c.key == "" {
			if len(found) > 0 {
				t.Errorf("%s: %v", c.name, found)
			}
			continue
		}
		if len(found) != 1 || found[0].Key != c.key || found[0].Warning != c.warning {
			t.Errorf("%s: %+v, want one problem of %s", c.name, found, c.key)
		}
	}
}

func TestTierKeys(t *testing.T) {
	r := deployRule()
	r.Grant.RoleARN += "-{tier}"
	r.Grant.Tags = map[string]string{"a": "{tier}", "b": "{tier}"}
	if got := strings.Join(r.TierKeys(), " "); got != "tiers role_arn tags" {
		t.Error(got)
	}
	if r := (&Rule{}); len(r.TierKeys()) > 0 {
		t.Error(r.TierKeys())
	}
}
