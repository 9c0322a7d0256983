package roles

import "slices"

// Possibility says whether GitLab needs to be asked about a job at all.
type Possibility struct {
	// Could is true if some rule could match should one of the claimed names
	// be the job's environment.
	Could bool
	// Decision is the answer where Could is false: NoRole, or Refuse by a rule
	// with RequireRole.
	Decision Decision
}

// Possible decides as far as the payload alone allows, before GitLab is asked.
// names are the environments that the payload claims anywhere; f holds what is
// certain already, and its Environment, EnvironmentSlug, Tier and UserLogin are
// not looked at.
//
// It errs to one side only: if any of the names, with any tier and user, would
// make Decide lend a role, Could is true. Where it is false, Decide would give
// the same outcome for every name that is claimed alone; among several names
// one that a rule with RequireRole names is enough for Refuse. Whoever explains
// that decision puts the claimed name into the facts as Unverified.
func Possible(rules []Rule, f Facts, names []string) Possibility {
	f.Environment, f.EnvironmentSlug, f.Tier, f.UserLogin = Fact{}, Fact{}, Fact{}, Fact{}
	names = distinct(names)
	if len(names) == 1 {
		f.Environment = Fact{Value: names[0], From: Unverified}
	}
	d := Decision{Trail: make([]Verdict, 0, len(rules))}
	for i := range rules {
		r := &rules[i]
		v := Verdict{Rule: r, Failed: r.firstCertainFailure(&f, names)}
		if v.Failed == Matched {
			return Possibility{Could: true}
		}
		d.Trail = append(d.Trail, v)
	}
	d.noMatch(&f, names)
	return Possibility{Decision: d}
}

// firstCertainFailure tries the conditions that no answer of GitLab can change.
func (r *Rule) firstCertainFailure(f *Facts, names []string) Condition {
	project := r.projectHolds(f)
	// The names may be many and hostile: they are looked at where it matters.
	if !project && len(names) > 1 {
		return CondProjects
	}
	if !slices.ContainsFunc(names, func(n string) bool { return anyMatch(r.Environments, n) }) {
		return CondEnvironments
	}
	if !project {
		return CondProjects
	}
	if c := r.refFailure(f); c != Matched {
		return c
	}
	return r.wordFailure(f)
}

// distinct is names without the empty one and without repetitions.
func distinct(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	out = slices.Compact(out)
	return slices.DeleteFunc(out, func(s string) bool { return s == "" })
}
