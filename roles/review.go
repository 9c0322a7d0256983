package roles

import (
	"fmt"
	"slices"
	"strings"
)

// Review gives what only shows between rules, or is legal but deserves a look:
// doubled names (an error), rules that an earlier one plainly shadows, wildcard
// projects with one fixed role, safety that rests on the author's word,
// merge-request pipelines. What it says of shadowed rules is always true; it
// does not find all of them. In the order of the rules.
func Review(rules []Rule) []RuleProblem {
	var all []RuleProblem
	names := map[string]int{}
	index := newShadowIndex()
	for i := range rules {
		r := &rules[i]
		var p problems
		if first, ok := names[r.Name]; ok && r.Name != "" {
			p.errorf("name", "the name %s is taken by %s", quote(r.Name), ordinal(rules, first))
		} else {
			names[r.Name] = i
		}
		if j := shadowing(rules, r, index); j >= 0 {
			p.warnf("", "the rule never matches: every job that it would match is matched by %s before it", ordinal(rules, j))
		}
		index.add(i, r)
		r.reviewProjects(&p)
		r.reviewRefs(&p)
		for k := range p {
			p[k].Rule = i
		}
		all = append(all, p...)
	}
	return all
}

// shadowing is the index of the first earlier rule that shadows r, or -1.
func shadowing(rules []Rule, r *Rule, earlier *shadowIndex) int {
	if len(r.Environments) == 0 || len(r.Projects)+len(r.ProjectIDs) == 0 {
		return -1 // Check says that it matches nothing
	}
	for _, j := range earlier.candidates(r) {
		if rules[j].shadows(r) {
			return j
		}
	}
	return -1
}

func (r *Rule) reviewProjects(p *problems) {
	wild := slices.IndexFunc(r.Projects, func(q Pattern) bool { return !q.Literal() })
	if wild < 0 {
		return
	}
	if len(r.ProjectIDs) == 0 && !r.dependsOnProject() {
		p.warnf("role_arn", "one fixed role for every project that %s matches: {project_id} would tell them apart",
			quote(string(r.Projects[wild])))
	}
	if len(r.ProjectIDs) > 0 {
		return
	}
	for _, q := range r.Projects {
		top, _, _ := strings.Cut(string(q), "/")
		if strings.Contains(top, "*") {
			p.warnf("projects", "%s has its wildcard in the top-level group: it also matches groups that others may make", quote(string(q)))
		}
	}
}

// dependsOnProject says whether what the rule lends differs between projects.
func (r *Rule) dependsOnProject() bool {
	for _, text := range []string{r.Grant.RoleARN, r.Grant.Policy} {
		names, _ := Placeholders(text)
		if slices.ContainsFunc(names, func(n string) bool {
			return n == phProjectID || n == phProjectSlug || n == phNamespaceSlug
		}) {
			return true
		}
	}
	return false
}

func (r *Rule) reviewRefs(p *problems) {
	if r.AnyRef {
		if keys := r.narrowing(); len(keys) > 0 {
			p.warnf("ref_protected", "with ref_protected = false the job's code may come from any branch that anyone may push: %s only narrow the rule, they do not make it safe",
				strings.Join(keys, ", "))
		}
	}
	if !r.MergeRequests {
		return
	}
	if r.AnyRef {
		p.warnf("merge_requests", "merge-request pipelines run code that nobody has merged, also from forks")
	} else {
		p.warnf("merge_requests", "merge-request refs are hardly ever protected: without ref_protected = false they still do not match")
	}
}

// narrowing lists the given conditions that somebody who can push can meet at
// will, or that do not speak of the code that runs.
func (r *Rule) narrowing() []string {
	var keys []string
	for _, c := range []struct {
		key      string
		patterns []Pattern
	}{
		{"refs", r.Refs},
		{"tag_refs", r.TagRefs},
		{"tiers", r.Tiers},
		{"users", r.Users},
		{"user_access_levels", r.UserAccessLevels},
		{"jobs", r.Jobs},
		{"actions", r.Actions},
		{"sources", r.Sources},
	} {
		if len(c.patterns) > 0 {
			keys = append(keys, c.key)
		}
	}
	return keys
}

// ordinal names a rule so that it can be found in the file.
func ordinal(rules []Rule, i int) string {
	r := &rules[i]
	if r.Line > 0 {
		return fmt.Sprintf("rule %s (line %d)", quote(r.Name), r.Line)
	}
	return "rule " + quote(r.Name)
}
