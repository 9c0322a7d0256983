package roles

import "slices"

// shadows says whether every job that s matches is matched by r too, so that s
// can never be the first match behind r. It is sound and not complete: where it
// says true that is proven, condition by condition.
func (r *Rule) shadows(s *Rule) bool {
	return coverAll(r.Environments, s.Environments) &&
		(len(r.Projects) > 0 || len(r.ProjectIDs) > 0) &&
		implied(r.Projects, s.Projects) &&
		impliedIDs(r.ProjectIDs, s.ProjectIDs) &&
		(r.MergeRequests || !s.MergeRequests) &&
		(r.AnyRef || !s.AnyRef) &&
		r.coversRefs(s) &&
		implied(r.Tiers, s.Tiers) &&
		implied(r.Users, s.Users) &&
		implied(r.Jobs, s.Jobs) &&
		implied(r.Actions, s.Actions) &&
		implied(r.Sources, s.Sources)
}

// coversRefs: a rule without refs and tag_refs takes any ref, a known one or
// not, so no list can cover it.
func (r *Rule) coversRefs(s *Rule) bool {
	if len(r.Refs) == 0 && len(r.TagRefs) == 0 {
		return true
	}
	if len(s.Refs) == 0 && len(s.TagRefs) == 0 {
		return false
	}
	return coverAll(r.Refs, s.Refs) && coverAll(r.TagRefs, s.TagRefs)
}

// implied says whether a fact that meets the condition inner meets outer; an
// empty list is no condition.
func implied(outer, inner []Pattern) bool {
	return len(outer) == 0 || len(inner) > 0 && coverAll(outer, inner)
}

func impliedIDs(outer, inner []int64) bool {
	if len(outer) == 0 {
		return true
	}
	for _, id := range inner {
		if !slices.Contains(outer, id) {
			return false
		}
	}
	return len(inner) > 0
}

// coverAll says whether each of inner is covered by one of outer.
func coverAll(outer, inner []Pattern) bool {
	for _, q := range inner {
		if !slices.ContainsFunc(outer, func(p Pattern) bool { return p.covers(q) }) {
			return false
		}
	}
	return true
}

// shadowIndex finds the earlier rules that could shadow a rule without looking
// at all of them: those whose projects could cover the rule's first project.
type shadowIndex struct {
	byProject map[Pattern][]int // rules that name this very pattern
	byID      map[int64][]int   // rules with project_ids alone
	wild      []int             // rules with a wildcard in projects
}

func newShadowIndex() *shadowIndex {
	return &shadowIndex{byProject: map[Pattern][]int{}, byID: map[int64][]int{}}
}

// add files rule i.
func (x *shadowIndex) add(i int, r *Rule) {
	for _, p := range r.Projects {
		x.byProject[p] = append(x.byProject[p], i)
	}
	if slices.ContainsFunc(r.Projects, func(p Pattern) bool { return !p.Literal() }) {
		x.wild = append(x.wild, i)
	}
	if len(r.Projects) == 0 {
		for _, id := range r.ProjectIDs {
			x.byID[id] = append(x.byID[id], i)
		}
	}
}

// candidates are the rules that may shadow r, in file order, some perhaps twice.
func (x *shadowIndex) candidates(r *Rule) []int {
	var out []int
	if len(r.Projects) > 0 {
		out = append(out, x.byProject[r.Projects[0]]...)
		out = append(out, x.wild...)
	}
	if len(r.ProjectIDs) > 0 {
		out = append(out, x.byID[r.ProjectIDs[0]]...)
	}
	slices.Sort(out)
	return out
}
