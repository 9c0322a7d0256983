package roles

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// payloadFacts is what is certain before GitLab is asked.
func payloadFacts() Facts {
	f := deployFacts()
	f.Environment, f.EnvironmentSlug, f.Tier, f.UserLogin = Fact{}, Fact{}, Fact{}, Fact{}
	return f
}

func TestPossible(t *testing.T) {
	required := deployRule()
	required.RequireRole = true
	unprotected := func(f *Facts) { f.RefProtected = false }
	for _, c := range []struct {
		name   string
		rule   Rule
		names  []string
		change func(*Facts)
		could  bool
		want   Outcome
		why    string
	}{
		{"a claim that matches", deployRule(), []string{"production"}, nil, true, 0, ""},
		{"one of two claims matches", deployRule(), []string{"staging", "production"}, nil, true, 0, ""},
		{"tier and user are open", deployRule(), []string{"production/eu"}, nil, true, 0, ""},
		{"no claim", deployRule(), nil, nil, false, NoRole, "the job has no environment"},
		{"empty claim", deployRule(), []string{""}, nil, false, NoRole, "the job has no environment"},
		{"other environment", deployRule(), []string{"staging"}, nil, false, NoRole, `no rule for environment "staging" of project "acme/shop/web"`},
		{"two others", deployRule(), []string{"b", "a", "b"}, nil, false, NoRole, `no rule for environment "a" or "b" of project`},
		{"other project", deployRule(), []string{"production"}, func(f *Facts) { f.ProjectID = 1 }, false, NoRole, "no rule for"},
		{"unprotected ref", deployRule(), []string{"production"}, unprotected, false, NoRole, "is not protected"},
		{"unprotected ref, role required", required, []string{"production"}, unprotected, false, Refuse, "requires its role"},
		{"two claims, role required by one", required, []string{"a", "production"}, unprotected, false, Refuse, "requires its role"},
		{"role required, other environment", required, []string{"staging"}, unprotected, false, NoRole, "no rule for"},
		{"other job name", required, []string{"production"}, func(f *Facts) { f.JobName.Value = "x" }, false, Refuse, "jobs: "},
		{"a claimed fact in the facts is not looked at", deployRule(), []string{"staging"}, func(f *Facts) {
			f.Environment = Fact{"production", Author}
		}, false, NoRole, "no rule for"},
	} {
		f := payloadFacts()
		if c.change != nil {
			c.change(&f)
		}
		p := Possible([]Rule{c.rule}, f, c.names)
		if p.Could != c.could || p.Decision.Outcome != c.want || !strings.Contains(p.Decision.Why, c.why) {
			t.Errorf("%s: %v, %s: %s", c.name, p.Could, p.Decision.Outcome, p.Decision.Why)
		}
		if c.could && (p.Decision.Why != "" || p.Decision.Trail != nil) {
			t.Errorf("%s: a decision before its time: %+v", c.name, p.Decision)
		}
	}
}

func TestPossibleLeavesTheNamesAlone(t *testing.T) {
	names := []string{"b", "", "a"}
	Possible([]Rule{deployRule()}, payloadFacts(), names)
	if !slices.Equal(names, []string{"b", "", "a"}) {
		t.Errorf("%q", names)
	}
}

// Possible against Decide: where it says that GitLab need not be asked, no
// answer of GitLab would have lent anything, nor made another outcome.
func TestPossibleIsSound(t *testing.T) {
	spared, lent, unproven := 0, 0, 0
	property := func(t *rapid.T) {
		rules := rapid.SliceOfN(rapid.OneOf(rapid.Custom(genLooseRule), rapid.Custom(genRule)), 1, 6).Draw(t, "rules")
		f := genFacts(t)
		f.RefProtected = rapid.Bool().Draw(t, "protected again") || f.RefProtected
		names := rapid.SliceOfN(rapid.SampledFrom([]string{"p", "p/1", "s", "axb", "", "none"}), 0, 3).Draw(t, "names")
		p := Possible(rules, f, names)
		proof := rapid.SampledFrom([]Provenance{Unverified, GitLabAPI, IDToken, IDTokenAndAPI}).Draw(t, "proven by")
		demand := Demanded(rules, f, names)
		if !p.Could {
			spared++
		}
		outcomes := map[Outcome]bool{}
		for _, name := range append(names, "") {
			for _, tier := range []string{"", "production", "staging", "other"} {
				for _, user := range []string{"", "dana", "eve"} {
					g := f
					g.Environment = Fact{name, proof}
					g.Tier, g.UserLogin = Fact{tier, GitLabAPI}, Fact{user, GitLabAPI}
					d := Decide(rules, g)
					if d.ForProof() && name != "" {
						asked := demand.IDToken
						if d.Rule.Proof == GitLabAPI {
							asked = demand.API
						}
						if !asked {
							t.Fatalf("refused for want of %s, which was not demanded: %+v", d.Rule.Proof, g)
						}
						unproven++
					}
					if d.Outcome == Lend {
						lent++
						if !p.Could {
							t.Fatalf("not asked, but %+v gets %s", g, d.Rule.Grant.RoleARN)
						}
					}
					if name != "" {
						outcomes[d.Outcome] = true
					}
				}
			}
		}
		if p.Could {
			return
		}
		want := NoRole
		if outcomes[Refuse] {
			want = Refuse
		}
		if p.Decision.Outcome != want {
			t.Fatalf("%s: %s, but Decide comes to %v", p.Decision.Outcome, p.Decision.Why, outcomes)
		}
	}
	// A want of proof is a rare draw: a hundred may hold none.
	for range 20 {
		rapid.Check(t, property)
		if spared > 0 && lent > 0 && unproven > 0 {
			break
		}
	}
	if spared == 0 || lent == 0 || unproven == 0 {
		t.Fatalf("the property was never put to the test: %d spared, %d lent, %d unproven", spared, lent, unproven)
	}
}
