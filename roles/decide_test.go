package roles

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestDecideLendsWhereEveryConditionHolds(t *testing.T) {
	rules := []Rule{deployRule()}
	d := Decide(rules, deployFacts())
	if d.Outcome != Lend || d.Rule != &rules[0] || d.Grant.RoleARN != rules[0].Grant.RoleARN || d.Grant.Duration != 30*time.Minute {
		t.Fatalf("%+v", d)
	}
	if len(d.Trail) != 1 || d.Trail[0].Failed != Matched {
		t.Errorf("trail %+v", d.Trail)
	}
}

// Each row breaks one fact; the condition on it, and no other, must say so.
func TestEachConditionFailsAlone(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Facts)
		want   Condition
		reason string
	}{
		{"nothing changed", func(*Facts) {}, Matched, "all conditions hold"},
		{"other environment", func(f *Facts) { f.Environment.Value = "staging" }, CondEnvironments, `environments: the environment "staging" is not "production" or "production/*"`},
		{"environment below", func(f *Facts) { f.Environment.Value = "production/eu/1" }, Matched, ""},
		{"environment in other case", func(f *Facts) { f.Environment.Value = "Production" }, CondEnvironments, ""},
		{"no environment", func(f *Facts) { f.Environment = Fact{} }, CondEnvironments, `environments: the environment is not known; the rule wants "production" or "production/*"`},
		{"empty environment", func(f *Facts) { f.Environment.Value = "" }, CondEnvironments, ""},
		{"absent environment with a value", func(f *Facts) { f.Environment.From = Absent }, CondEnvironments, ""},
		{"author's environment", func(f *Facts) { f.Environment.From = Author }, CondEnvironments, `environments: the environment "production" is only the job's author's word`},
		{"unverified environment", func(f *Facts) { f.Environment.From = Unverified }, Matched, ""},
		{"unknown provenance", func(f *Facts) { f.Environment.From = 99 }, CondEnvironments, ""},

		{"other project", func(f *Facts) { f.ProjectPath.Value = "acme/other/web" }, CondProjects, `projects: the project "acme/other/web" is not "acme/shop/*"`},
		{"project with a like name", func(f *Facts) { f.ProjectPath.Value = "evil/acme/shop/web" }, CondProjects, ""},
		{"author's project", func(f *Facts) { f.ProjectPath.From = Author }, CondProjects, ""},
		{"no project path", func(f *Facts) { f.ProjectPath = Fact{} }, CondProjects, ""},
		{"other project id", func(f *Facts) { f.ProjectID = 1 }, CondProjects, `projects: the project's id 1 is not in project_ids`},
		{"no project id", func(f *Facts) { f.ProjectID = 0 }, CondProjects, `projects: the project's id is not known`},
		{"second project id", func(f *Facts) { f.ProjectID = 4243 }, Matched, ""},

		{"merge-request pipeline", func(f *Facts) { f.MergeRequest = true }, CondMergeRequests, `merge_requests: the pipeline runs for a merge request (ref "main")`},
		{"merge-request ref", func(f *Facts) { f.Ref.Value = "refs/merge-requests/9/head" }, CondMergeRequests, ""},

		{"ref perhaps protected", func(f *Facts) { f.RefProtected, f.RefProtectionUnsaid = false, true }, CondRefProtected, `ref_protected: nobody says whether the ref "main" is protected; runners before 18.4 and GitLab before 18.3 do not (see legacy_ref_protected)`},
		{"ref not protected", func(f *Facts) { f.RefProtected = false }, CondRefProtected, `ref_protected: the ref "main" is not protected`},

		{"other branch", func(f *Facts) { f.Ref.Value = "feature-9" }, CondRefs, `refs: the branch "feature-9" is not "main" or "release/*"`},
		{"branch below", func(f *Facts) { f.Ref.Value = "release/1" }, Matched, ""},
		{"branch like a tag", func(f *Facts) { f.Ref.Value = "v1" }, CondRefs, ""},
		{"tag", func(f *Facts) { f.Ref.Value, f.Tag = "v1", true }, Matched, ""},
		{"tag like a branch", func(f *Facts) { f.Tag = true }, CondRefs, `refs: the tag "main" is not "v*"`},
		{"author's ref", func(f *Facts) { f.Ref.From = Author }, CondRefs, ""},
		{"no ref", func(f *Facts) { f.Ref = Fact{} }, CondRefs, ""},

		{"other tier", func(f *Facts) { f.Tier.Value = "staging" }, CondTiers, `tiers: the tier "staging" is not "production"`},
		{"author's tier", func(f *Facts) { f.Tier.From = Author }, CondTiers, ""},
		{"no tier", func(f *Facts) { f.Tier = Fact{} }, CondTiers, ""},

		{"other user", func(f *Facts) { f.UserLogin.Value = "eve" }, CondUsers, `users: the user "eve" is not "dana"`},
		{"author's user", func(f *Facts) { f.UserLogin.From = Author }, CondUsers, ""},
		{"no user", func(f *Facts) { f.UserLogin = Fact{} }, CondUsers, ""},

		{"other job", func(f *Facts) { f.JobName.Value = "test" }, CondJobs, `jobs: the job's name "test" is not "deploy*"`},
		{"no job name", func(f *Facts) { f.JobName = Fact{} }, CondJobs, ""},
		{"absent job name with a value", func(f *Facts) { f.JobName.From = Absent }, CondJobs, ""},
		{"other action", func(f *Facts) { f.Action.Value = "stop" }, CondActions, `actions: the environment action "stop" is not "start"`},
		{"no action", func(f *Facts) { f.Action = Fact{} }, CondActions, ""},
		{"other source", func(f *Facts) { f.Source.Value = "schedule" }, CondSources, `sources: the pipeline's source "schedule" is not "push" or "web"`},
		{"no source", func(f *Facts) { f.Source = Fact{} }, CondSources, ""},
	} {
		f := deployFacts()
		c.change(&f)
		d := Decide([]Rule{deployRule()}, f)
		if got := d.Trail[0].Failed; got != c.want {
			t.Errorf("%s: failed %q, want %q", c.name, got.Key(), c.want.Key())
			continue
		}
		if got := d.Outcome == Lend; got != (c.want == Matched) {
			t.Errorf("%s: outcome %s", c.name, d.Outcome)
		}
		if got := d.Trail[0].Reason(f); c.reason != "" && got != c.reason {
			t.Errorf("%s: reason\n got %s\nwant %s", c.name, got, c.reason)
		}
	}
}

// Each row changes the rule instead.
func TestRuleDefaultsAreSafe(t *testing.T) {
	mergeRequest := func(f *Facts) {
		f.Ref.Value, f.MergeRequest, f.RefProtected = "refs/merge-requests/9/head", true, false
	}
	for _, c := range []struct {
		name   string
		rule   func(*Rule)
		change func(*Facts)
		want   Condition
	}{
		{"no environments", func(r *Rule) { r.Environments = nil }, nil, CondEnvironments},
		{"* and no environment", func(r *Rule) { r.Environments = []Pattern{"*"} }, func(f *Facts) { f.Environment = Fact{} }, CondEnvironments},
		{"no projects at all", func(r *Rule) { r.Projects, r.ProjectIDs = nil, nil }, nil, CondProjects},
		{"ids only", func(r *Rule) { r.Projects = nil }, nil, Matched},
		{"ids only, no path known", func(r *Rule) { r.Projects = nil }, func(f *Facts) { f.ProjectPath = Fact{} }, Matched},
		{"paths only, no id known", func(r *Rule) { r.ProjectIDs = nil }, func(f *Facts) { f.ProjectID = 0 }, Matched},
		{"id 0 in the list", func(r *Rule) { r.Projects, r.ProjectIDs = nil, []int64{0} }, func(f *Facts) { f.ProjectID = 0 }, CondProjects},
		{"any ref", func(r *Rule) { r.AnyRef = true }, func(f *Facts) { f.RefProtected = false }, Matched},
		{"merge requests alone", func(r *Rule) { r.MergeRequests, r.Refs, r.TagRefs = true, nil, nil }, mergeRequest, CondRefProtected},
		{"any ref alone", func(r *Rule) { r.AnyRef, r.Refs, r.TagRefs = true, nil, nil }, mergeRequest, CondMergeRequests},
		{"merge requests and any ref", func(r *Rule) { r.MergeRequests, r.AnyRef, r.Refs, r.TagRefs = true, true, nil, nil }, mergeRequest, Matched},
		{"refs only, a tag", func(r *Rule) { r.TagRefs = nil; r.Refs = []Pattern{"*"} }, func(f *Facts) { f.Tag = true }, CondRefs},
		{"tag_refs only, a branch", func(r *Rule) { r.Refs = nil; r.TagRefs = []Pattern{"*"} }, nil, CondRefs},
		{"tag_refs only, a tag", func(r *Rule) { r.Refs = nil; r.TagRefs = []Pattern{"*"} }, func(f *Facts) { f.Tag = true }, Matched},
		{"neither, a tag", func(r *Rule) { r.Refs, r.TagRefs = nil, nil }, func(f *Facts) { f.Tag = true }, Matched},
		{"neither, a branch", func(r *Rule) { r.Refs, r.TagRefs = nil, nil }, func(f *Facts) { f.Ref.Value = "x" }, Matched},
		{"* does not meet an absent fact", func(r *Rule) { r.Users = []Pattern{"*"} }, func(f *Facts) { f.UserLogin = Fact{} }, CondUsers},
	} {
		r, f := deployRule(), deployFacts()
		c.rule(&r)
		if c.change != nil {
			c.change(&f)
		}
		if got := Decide([]Rule{r}, f).Trail[0].Failed; got != c.want {
			t.Errorf("%s: failed %q, want %q", c.name, got.Key(), c.want.Key())
		}
	}
}

func TestFirstMatchInFileOrderWins(t *testing.T) {
	other, first, second := deployRule(), deployRule(), deployRule()
	other.Environments = []Pattern{"staging"}
	first.Name, second.Name = "first", "second"
	d := Decide([]Rule{other, first, second}, deployFacts())
	if d.Rule == nil || d.Rule.Name != "first" || len(d.Trail) != 2 {
		t.Fatalf("%+v", d)
	}
}

func TestWhyThereIsNoRole(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Facts)
		want   string
	}{
		{"no environment", func(f *Facts) { f.Environment = Fact{} }, `the job has no environment`},
		{"no rule", func(f *Facts) { f.Environment.Value = "staging" }, `no rule for environment "staging" of project "acme/shop/web"`},
		{
			"nearly", func(f *Facts) { f.RefProtected = false },
			`rule "deploys" is for environment "production" of project "acme/shop/web", but does not match: ref_protected: the ref "main" is not protected`,
		},
	} {
		f := deployFacts()
		c.change(&f)
		d := Decide([]Rule{deployRule()}, f)
		if d.Outcome != NoRole || d.Why != c.want {
			t.Errorf("%s: %s: %s", c.name, d.Outcome, d.Why)
		}
	}
	if d := Decide(nil, deployFacts()); d.Outcome != NoRole || d.Rule != nil {
		t.Errorf("no rules: %+v", d)
	}
}

func TestRequireRoleRefusesOnlyIfNothingMatches(t *testing.T) {
	required := deployRule()
	required.Name, required.RequireRole = "required", true
	catchAll := deployRule()
	catchAll.Name, catchAll.AnyRef = "catch-all", true
	f := deployFacts()
	f.RefProtected = false

	d := Decide([]Rule{required}, f)
	want := `rule "required" requires its role for environment "production" of project "acme/shop/web", but does not match: ` +
		`ref_protected: the ref "main" is not protected; run the job on a protected branch or tag, or have a maintainer protect this one`
	if d.Outcome != Refuse || d.Rule.Name != "required" || d.Why != want {
		t.Errorf("%s: %s", d.Outcome, d.Why)
	}
	if d := Decide([]Rule{required, catchAll}, f); d.Outcome != Lend || d.Rule.Name != "catch-all" {
		t.Errorf("a later rule that matches must win: %+v", d)
	}
	for name, change := range map[string]func(*Facts){
		"other environment": func(f *Facts) { f.Environment.Value = "staging" },
		"other project":     func(f *Facts) { f.ProjectID = 1 },
		"no environment":    func(f *Facts) { f.Environment = Fact{} },
	} {
		g := f
		change(&g)
		if d := Decide([]Rule{required}, g); d.Outcome != NoRole {
			t.Errorf("%s: %s: %s", name, d.Outcome, d.Why)
		}
	}
}

// Whatever the rules, nothing is lent without a proven environment, nor on an
// unprotected ref or to a merge request that the rule does not allow.
func TestNothingIsLentWithoutProof(t *testing.T) {
	lent := 0
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfN(rapid.Custom(genLooseRule), 4, 12).Draw(t, "rules")
		f := genFacts(t)
		d := Decide(rules, f)
		if d.Outcome != Lend {
			if d.Grant.RoleARN != "" {
				t.Fatal("a grant without Lend")
			}
			return
		}
		lent++
		r := d.Rule
		switch {
		case !f.Environment.Proven():
			t.Fatalf("lent for the environment %+v", f.Environment)
		case !f.RefProtected && !r.AnyRef:
			t.Fatal("lent on an unprotected ref")
		case (f.MergeRequest || strings.HasPrefix(f.Ref.Value, "refs/merge-requests/")) && !r.MergeRequests:
			t.Fatal("lent to a merge request")
		case len(r.Projects) > 0 && !f.ProjectPath.Proven(), len(r.Projects) == 0 && f.ProjectID == 0:
			t.Fatal("lent to an unknown project")
		}
	})
	if lent == 0 {
		t.Fatal("the property was never put to the test")
	}
}

func TestDecisionSharesNoMemoryWithTheRule(t *testing.T) {
	r := deployRule()
	r.Grant.Tags = map[string]string{"team": "shop"}
	r.Grant.Chain = []string{"arn:aws:iam::111122223333:role/hub"}
	d := Decide([]Rule{r}, deployFacts())
	d.Grant.Tags["team"] = "evil"
	d.Grant.Chain[0] = "evil"
	if r.Grant.Tags["team"] != "shop" || strings.Contains(r.Grant.Chain[0], "evil") {
		t.Error("changing a decision changed the rule")
	}
}

func manyRules(n int) []Rule {
	rules := make([]Rule, n)
	for i := range rules {
		rules[i] = deployRule()
		rules[i].Projects = []Pattern{Pattern(fmt.Sprintf("acme/team-%d/*", i))}
		rules[i].ProjectIDs = nil
	}
	return rules
}

// BenchmarkDecide10000Deep fails every rule at its last condition.
func BenchmarkDecide10000Deep(b *testing.B) {
	rules := manyRules(10000)
	for i := range rules {
		rules[i].Projects = []Pattern{"acme/shop/*"}
		rules[i].Sources = []Pattern{"schedule"}
	}
	f := deployFacts()
	b.ReportAllocs()
	for b.Loop() {
		if Decide(rules, f).Outcome != NoRole {
			b.Fatal("match")
		}
	}
}

// BenchmarkDecide10000 is a role map with a rule for each project, of which the
// last one matches.
func BenchmarkDecide10000(b *testing.B) {
	rules := manyRules(10000)
	f := deployFacts()
	f.ProjectPath.Value = "acme/team-9999/web"
	b.ReportAllocs()
	for b.Loop() {
		if Decide(rules, f).Outcome != Lend {
			b.Fatal("no match")
		}
	}
}

func TestDecideAllocatesOncePerDecisionNotPerRule(t *testing.T) {
	f := deployFacts()
	f.Environment.Value = "staging"
	few, many := manyRules(10), manyRules(1000)
	a := testing.AllocsPerRun(10, func() { Decide(few, f) })
	b := testing.AllocsPerRun(10, func() { Decide(many, f) })
	if b > a+1 {
		t.Errorf("%v allocations for 10 rules, %v for 1000", a, b)
	}
}
