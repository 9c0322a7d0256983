package roles

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestReview(t *testing.T) {
	plain := func() Rule {
		r := deployRule()
		r.Projects, r.ProjectIDs = []Pattern{"acme/shop/web"}, nil
		return r
	}
	for _, c := range []struct {
		name  string
		rules func(a, b *Rule)
		rule  int
		key   string
		msg   string
	}{
		{"same rule twice", func(_, _ *Rule) {}, 1, "", `never matches: every job that it would match is matched by rule "a" (line 7)`},
		{"wider before narrower", func(a, b *Rule) { a.Users, b.Environments = nil, []Pattern{"production/eu*"} }, 1, "", "never matches"},
		{"doubled name", func(a, b *Rule) { a.Environments = []Pattern{"x"}; b.Name = "a" }, 1, "name", `the name "a" is taken`},
		{"wildcard projects", func(a, _ *Rule) { a.Projects = []Pattern{"acme/*"}; a.Environments = []Pattern{"x"} }, 0, "role_arn", `one fixed role for every project that "acme/*" matches`},
		{"wildcard in the group", func(a, _ *Rule) {
			a.Projects, a.Environments = []Pattern{"acme*"}, []Pattern{"x"}
			a.Grant.RoleARN += "-{project_id}"
		}, 0, "projects", "top-level group"},
		{"any ref", func(a, _ *Rule) { a.AnyRef, a.Environments = true, []Pattern{"x"} }, 0, "ref_protected", "refs, tag_refs, tiers, users, jobs, actions, sources only narrow"},
		{"merge requests", func(a, _ *Rule) { a.MergeRequests, a.Environments = true, []Pattern{"x"} }, 0, "merge_requests", "hardly ever protected"},
		{"merge requests of any ref", func(a, _ *Rule) {
			a.MergeRequests, a.AnyRef, a.Environments = true, true, []Pattern{"x"}
			a.Refs, a.TagRefs, a.Tiers, a.Users, a.Jobs, a.Actions, a.Sources = nil, nil, nil, nil, nil, nil, nil
		}, 0, "merge_requests", "from forks"},
	} {
		a, b := plain(), plain()
		a.Name, b.Name = "a", "b"
		c.rules(&a, &b)
		found := Review([]Rule{a, b})
		if len(found) != 1 || found[0].Rule != c.rule || found[0].Key != c.key || !strings.Contains(found[0].Msg, c.msg) {
			t.Errorf("%s: %+v", c.name, found)
			continue
		}
		if found[0].Warning == (c.key == "name") {
			t.Errorf("%s: only doubled names are errors", c.name)
		}
	}
}

func TestReviewIsContent(t *testing.T) {
	a, b := deployRule(), deployRule()
	a.Grant.RoleARN += "-{project_id}"
	b.Grant.Policy = `{"Statement":"{project_id}"}`
	a.ProjectIDs, b.ProjectIDs = nil, nil
	b.Name, b.Environments = "staging", []Pattern{"staging"}
	if p := Review([]Rule{a, b}); len(p) > 0 {
		t.Errorf("%+v", p)
	}
}

// The index only saves time: it finds what looking at every pair would.
func TestShadowIndexMissesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfN(rapid.Custom(genLooseRule), 2, 8).Draw(t, "rules")
		index := newShadowIndex()
		for i := range rules {
			r := &rules[i]
			want := -1
			if len(r.Environments) > 0 && len(r.Projects)+len(r.ProjectIDs) > 0 {
				want = slices.IndexFunc(rules[:i], func(e Rule) bool { return e.shadows(r) })
			}
			if got := shadowing(rules, r, index); got != want {
				t.Fatalf("rule %d: %d, want %d", i, got, want)
			}
			index.add(i, r)
		}
	})
}

func BenchmarkReview10000(b *testing.B) {
	rules := manyRules(10000)
	for b.Loop() {
		Review(rules)
	}
}
