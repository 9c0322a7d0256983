package roles

import "testing"

// The branch is the last part of the claim and the author's to name. Git allows
// "x@refs/heads/main", whose claim ends like that of main.
func TestABranchCannotBeNamedToLookLikeAnotherConfiguration(t *testing.T) {
	const forged = "acme/shop/web//.gitlab-ci.yml@refs/heads/x@refs/heads/main"
	for _, c := range []struct {
		pattern Pattern
		value   string
		want    bool
	}{
		{"acme/shop/web//*@refs/heads/main", forged, false},
		{"acme/*@refs/heads/main", forged, false},
		{"*//.gitlab-ci.yml@refs/heads/main", "acme/shop/web//evil.yml@refs/heads/a//.gitlab-ci.yml@refs/heads/main", false},
		{"acme/shop/web//*@*/main", forged, true}, // the ref's own star
		{"acme/shop/web//*@refs/heads/main", "acme/shop/web//.gitlab-ci.yml@refs/heads/main", true},
		{"acme/shop/web//*@refs/heads/main", "acme/shop/web//ci@2.yml@refs/heads/main", true},
		{"acme/shop/web//.gitlab-ci.yml@refs/heads/x@refs/heads/main", forged, true},
		{"acme/shop/web//.gitlab-ci.yml@*", forged, true},
		{"*", forged, true},
		{"acme/*", forged, false}, // an error in the configuration
		{"acme/shop/web//.gitlab-ci.yml@refs/heads/main", "no such form", false},
		{"*@refs/heads/main", "no such form", false},
	} {
		r, f := signedRule(), signedFacts()
		r.CIConfig, f.CIConfig.Value = []Pattern{c.pattern}, c.value
		if got := r.firstFailure(&f) == Matched; got != c.want {
			t.Errorf("%s for %s: %t", c.pattern, c.value, got)
		}
	}
}

// What the whole text covers need not cover part by part.
func TestConfigurationsShadowPartByPart(t *testing.T) {
	r, s := signedRule(), signedRule()
	r.CIConfig = []Pattern{"acme/shop/web//*@refs/heads/main"}
	s.CIConfig = []Pattern{"acme/shop/web//.gitlab-ci.yml@refs/heads/x@refs/heads/main"}
	if r.shadows(&s) {
		t.Error("a rule for main shadows one for another branch")
	}
	s.CIConfig = []Pattern{"acme/shop/web//.gitlab-ci.yml@refs/heads/main"}
	if !r.shadows(&s) {
		t.Error("a rule for every file of main does not shadow one for a file")
	}
}

// Without a token the source is the author's word, with one it is GitLab's: a
// variable must not choose between a rule that wants a token and a later one.
func TestTheAuthorsWordOnTheSourceLeadsPastNoRuleThatWantsAToken(t *testing.T) {
	strict, weaker := signedRule(), deployRule()
	strict.Sources, weaker.Sources = []Pattern{"push"}, nil
	strict.Name, weaker.Name = "strict", "weaker"
	rules := []Rule{strict, weaker}
	for _, word := range []Fact{{}, {"forged", Author}, {"push", Author}} {
		f := deployFacts() // proven by the API, without a token
		f.Source = word
		if d := Decide(rules, f); d.Outcome != Refuse || !d.ForProof() {
			t.Errorf("%+v: %s: %s", word, d.Outcome, d.Why)
		}
		if !Demanded(rules, f, []string{"production"}).IDToken {
			t.Errorf("%+v: no token is looked at", word)
		}
		if !Possible(rules[:1], f, []string{"production"}).Could {
			t.Errorf("%+v: the rule counts as impossible, though the token may say push", word)
		}
		f = signedFacts()
		f.Source = Fact{"schedule", IDToken}
		if d := Decide(rules[:1], f); d.Outcome != NoRole || d.Trail[0].Failed != CondSources {
			t.Errorf("signed schedule: %s: %s", d.Outcome, d.Why)
		}
	}
}
