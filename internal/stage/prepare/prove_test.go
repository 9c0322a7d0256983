package prepare

import (
	"strings"
	"testing"

	"envrole/roles"
	"envrole/roles/fault"
	"envrole/roles/settings"
)

// Every pair of [gitlab] proof and a rule's, with a token and without: what is
// asked, who vouches in the end, and that nothing weaker is ever taken.
func TestEachPairOfProofs(t *testing.T) {
	const api, token, none = settings.ProofAPI, settings.ProofIDToken, settings.ProofUnverified
	for _, c := range []struct {
		global, rule string
		withToken    bool
		from         roles.Provenance
		calls        int // to GitLab, two for the API, two for the keys
	}{
		{none, none, false, roles.Unverified, 0},
		{none, none, true, roles.Unverified, 0}, // nobody wants the token
		{none, api, false, roles.GitLabAPI, 2},
		{none, token, true, roles.IDToken, 2},
		{none, token, false, roles.Absent, 0},
		{api, api, false, roles.GitLabAPI, 2},
		{api, api, true, roles.GitLabAPI, 2},
		{api, token, true, roles.IDTokenAndAPI, 4},
		{api, token, false, roles.Absent, 2},
		{token, token, true, roles.IDToken, 2},
		{token, token, false, roles.Absent, 0},
	} {
		p := newProvider(t)
		p.withoutToken = !c.withToken
		d, f, err := p.decide("push", c.global, rule(`proof = "`+c.rule+`"`))
		name := c.global + " and " + c.rule
		if n := len(p.gitlab.Requests()); n != c.calls {
			t.Errorf("%s, token %t: %d calls, want %d", name, c.withToken, n, c.calls)
		}
		if c.from == roles.Absent {
			if fault.ClassOf(err) != fault.Refused || !strings.Contains(fault.HelpOf(err), "id_tokens:") || !strings.Contains(err.Error(), "has no ID token") {
				t.Errorf("%s without a token: %s %v", name, d.Outcome, err)
			}
			continue
		}
		if err != nil || d.Outcome != roles.Lend || f.Environment.From != c.from {
			t.Errorf("%s, token %t: %s by %s, %v", name, c.withToken, d.Outcome, f.Environment.From, err)
		}
	}
}

// What one rule wants is no burden for the jobs of another.
func TestAProofIsAskedForOnlyWhereARuleCouldMatch(t *testing.T) {
	p := newProvider(t)
	p.withoutToken = true
	other := strings.Replace(rule(`proof = "id_token"`, `environments = ["staging"]`), "production deploys", "other", 1)
	d, f, err := p.decide("push", settings.ProofAPI, other+rule())
	if err != nil || d.Outcome != roles.Lend || f.Environment.From != roles.GitLabAPI {
		t.Errorf("%s %v", d.Outcome, err)
	}
	p = newProvider(t)
	p.withoutToken = true
	if d, _, err := p.decide("push_unprotected", settings.ProofIDToken, rule()); err != nil || d.Outcome != roles.NoRole || len(p.gitlab.Requests()) > 0 {
		t.Errorf("%s %v", d.Outcome, err)
	}
}

// A stronger rule first: a job cannot choose the weaker one by leaving its token
// away, nor by bringing a bad one.
func TestLeavingTheTokenAwayDoesNotChooseARule(t *testing.T) {
	strong := strings.Replace(rule(`proof = "id_token"`), "production deploys", "strong", 1)
	p := newProvider(t)
	p.withoutToken = true
	d, _, err := p.decide("push", settings.ProofAPI, strong+rule())
	if fault.ClassOf(err) != fault.Refused || d.Rule == nil || d.Rule.Name != "strong" {
		t.Errorf("%s %v", d.Outcome, err)
	}
	// The weaker rule first decides: the order is the administrator's.
	p = newProvider(t)
	p.withoutToken = true
	if d, _, err = p.decide("push", settings.ProofAPI, rule()+strong); err != nil || d.Outcome != roles.Lend {
		t.Errorf("%s %v", d.Outcome, err)
	}
}
