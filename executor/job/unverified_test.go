package job

import (
	"testing"

	"envrole/roles"
)

func TestUnverifiedClaimsAreMarkedAsSuch(t *testing.T) {
	p := payload(t, "honest_production.json", nil)
	f := p.Unverified(facts(t, p, FactOptions{GitLabURL: gitlab}))
	claimed := roles.Fact{Value: "production", From: roles.Unverified}
	if f.Environment != claimed || f.EnvironmentSlug != claimed || f.Tier != claimed ||
		f.UserLogin != (roles.Fact{Value: "alice", From: roles.Author}) {
		t.Errorf("%+v", f)
	}
}

func TestWhatTheLintRefusesIsNotEvenAnUnverifiedFact(t *testing.T) {
	p := payload(t, "review_overridden_by_variable.json", nil)
	if f := p.Unverified(facts(t, p, FactOptions{GitLabURL: gitlab})); f.Environment.Known() || f.EnvironmentSlug.Known() {
		t.Errorf("%+v", f)
	}
}
