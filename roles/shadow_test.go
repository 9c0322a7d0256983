package roles

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// One row per condition: the earlier rule asks for something that the later one
// does not, so the later one can still be the first match.
func TestOneNarrowerConditionDoesNotShadow(t *testing.T) {
	same := deployRule()
	if !same.shadows(&same) {
		t.Fatal("a rule shadows its own copy")
	}
	for name, c := range map[string]struct{ wide, narrow func(*Rule) }{
		"environments":        {func(r *Rule) { r.Environments = []Pattern{"production"} }, nil},
		"projects":            {func(r *Rule) { r.Projects = []Pattern{"acme/shop/web"} }, nil},
		"projects not given":  {nil, func(r *Rule) { r.Projects = nil }},
		"project_ids":         {func(r *Rule) { r.ProjectIDs = []int64{4242} }, nil},
		"ids not given":       {nil, func(r *Rule) { r.ProjectIDs = nil }},
		"no projects":         {func(r *Rule) { r.Projects, r.ProjectIDs = nil, nil }, nil},
		"merge_requests":      {nil, func(r *Rule) { r.MergeRequests = true }},
		"ref_protected":       {nil, func(r *Rule) { r.AnyRef = true }},
		"refs":                {func(r *Rule) { r.Refs = []Pattern{"main"} }, nil},
		"refs not given":      {func(r *Rule) { r.Refs = nil }, nil},
		"tag_refs":            {func(r *Rule) { r.TagRefs = []Pattern{"v1*"} }, nil},
		"tag_refs not given":  {func(r *Rule) { r.TagRefs = nil }, nil},
		"any ref, known only": {func(r *Rule) { r.Refs, r.TagRefs = []Pattern{"*"}, []Pattern{"*"} }, func(r *Rule) { r.Refs, r.TagRefs = nil, nil }},
		"tiers":               {nil, func(r *Rule) { r.Tiers = []Pattern{"staging"} }},
		"tiers not given":     {nil, func(r *Rule) { r.Tiers = nil }},
		"users":               {nil, func(r *Rule) { r.Users = []Pattern{"d*"} }},
		"users not given":     {func(r *Rule) { r.Users = []Pattern{"*"} }, func(r *Rule) { r.Users = nil }},
		"jobs":                {nil, func(r *Rule) { r.Jobs = []Pattern{"*deploy"} }},
		"jobs not given":      {nil, func(r *Rule) { r.Jobs = nil }},
		"actions":             {nil, func(r *Rule) { r.Actions = []Pattern{"start", "stop"} }},
		"actions not given":   {nil, func(r *Rule) { r.Actions = nil }},
		"sources":             {nil, func(r *Rule) { r.Sources = []Pattern{"*"} }},
		"sources not given":   {nil, func(r *Rule) { r.Sources = nil }},
		"protected":           {func(r *Rule) { r.EnvironmentProtected = true }, nil},
		"access levels":       {func(r *Rule) { r.UserAccessLevels = []Pattern{"owner"} }, nil},
		"ci_config":           {func(r *Rule) { r.CIConfig = []Pattern{"*"} }, nil},
	} {
		wide, narrow := deployRule(), deployRule()
		if c.wide != nil {
			c.wide(&wide)
		}
		if c.narrow != nil {
			c.narrow(&narrow)
		}
		if wide.shadows(&narrow) {
			t.Errorf("%s: called shadowed", name)
		}
	}
}

// meeting makes facts that meet the rule, as unknown as the rule allows.
func meeting(t *rapid.T, r *Rule) Facts {
	fact := func(patterns []Pattern) Fact {
		if len(patterns) == 0 {
			if rapid.Bool().Draw(t, "unknown") {
				return Fact{}
			}
			patterns = []Pattern{"*", "p", "a/b", "main", "v1", "push", "dana"}
		}
		p := rapid.SampledFrom(patterns).Draw(t, "pattern")
		run := rapid.SampledFrom([]string{"x", "", "a", "/b", "1"}).Draw(t, "run")
		return Fact{strings.ReplaceAll(string(p), "*", run), GitLabAPI}
	}
	f := Facts{
		JobID: 1, Environment: fact(r.Environments), ProjectPath: fact(r.Projects),
		Tier: fact(r.Tiers), UserLogin: fact(r.Users),
		JobName: fact(r.Jobs), Action: fact(r.Actions), Source: fact(r.Sources),
		RefProtected: !r.AnyRef || rapid.Bool().Draw(t, "protected"),
		MergeRequest: r.MergeRequests && rapid.Bool().Draw(t, "merge request"),

		UserAccessLevel: signedAs(fact(r.UserAccessLevels)), CIConfig: signedAs(fact(r.CIConfig)),
	}
	f.Environment.From = max(GitLabAPI, r.Proof)
	if r.EnvironmentProtected || rapid.Bool().Draw(t, "environment protected") {
		f.EnvironmentProtected = Fact{"true", IDToken}
	}
	if len(r.ProjectIDs) > 0 {
		f.ProjectID = rapid.SampledFrom(r.ProjectIDs).Draw(t, "id")
	}
	f.Tag = len(r.Refs) == 0 && (len(r.TagRefs) > 0 || rapid.Bool().Draw(t, "tag"))
	if len(r.TagRefs) > 0 && rapid.Bool().Draw(t, "rather a tag") {
		f.Tag = true
	}
	f.Ref = fact(r.Refs)
	if f.Tag {
		f.Ref = fact(r.TagRefs)
	}
	return f
}

// signedAs makes a known fact one of an ID token.
func signedAs(f Fact) Fact {
	if f.Known() {
		f.From = IDToken
	}
	return f
}

// A rule that is called shadowed is never the first match: facts that meet it
// always meet the earlier rule too.
func TestShadowedRulesNeverMatchFirst(t *testing.T) {
	shadowed := 0
	rapid.Check(t, func(t *rapid.T) {
		narrow := genRule(t)
		if len(narrow.Environments) == 0 {
			narrow.Environments = []Pattern{"p"}
		}
		if len(narrow.Projects) == 0 {
			narrow.ProjectIDs = []int64{1}
		}
		wide := narrow
		other := genRule(t)
		// One or two conditions differ, in whatever direction.
		for range rapid.IntRange(1, 2).Draw(t, "changes") {
			switch rapid.IntRange(0, 15).Draw(t, "change") {
			case 0:
				wide.Environments = other.Environments
			case 1:
				wide.Projects = other.Projects
			case 2:
				wide.ProjectIDs = other.ProjectIDs
			case 3:
				wide.AnyRef = other.AnyRef
			case 4:
				wide.MergeRequests = other.MergeRequests
			case 5:
				wide.Refs = other.Refs
			case 6:
				wide.TagRefs = other.TagRefs
			case 7:
				wide.Tiers = other.Tiers
			case 8:
				wide.Users = other.Users
			case 9:
				wide.Jobs = other.Jobs
			case 10:
				wide.Actions = other.Actions
			case 11:
				wide.Sources = other.Sources
			case 12:
				wide.Proof = other.Proof
			case 13:
				wide.EnvironmentProtected = other.EnvironmentProtected
			case 14:
				wide.UserAccessLevels = other.UserAccessLevels
			case 15:
				wide.CIConfig = other.CIConfig
			}
		}
		rules := []Rule{wide, narrow}
		if !wide.shadows(&narrow) {
			return
		}
		shadowed++
		for range 20 {
			f := meeting(t, &narrow)
			if d := Decide(rules, f); d.Rule == &rules[1] {
				t.Fatalf("%+v\nis the first match of %+v\nthough called shadowed by %+v", narrow, f, wide)
			}
		}
	})
	if shadowed == 0 {
		t.Fatal("the property was never put to the test")
	}
}
