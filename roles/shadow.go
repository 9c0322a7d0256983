package roles

import (
	"slices"
	"strings"
)

// shadows says whether every job that s matches is matched by r too, so that s
// can never be the first match behind r. A job that r refuses for want of proof
// does not reach s either. It is sound and not complete: where it
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
		implied(r.Sources, s.Sources) &&
		(!r.EnvironmentProtected || s.EnvironmentProtected) &&
		implied(r.UserAccessLevels, s.UserAccessLevels) &&
		configImplied(r.CIConfig, s.CIConfig)
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
// at all of them. A pattern that covers another begins, up to its own first
// star, like that other one.
type shadowIndex struct {
	byPrefix map[string][]int // rules by their projects, each up to its first star
	byID     map[int64][]int  // rules with project_ids alone
}

func newShadowIndex() *shadowIndex {
	return &shadowIndex{byPrefix: map[string][]int{}, byID: map[int64][]int{}}
}

// add files rule i.
func (x *shadowIndex) add(i int, r *Rule) {
	for _, p := range r.Projects {
		prefix, _, _ := strings.Cut(string(p), "*")
		x.byPrefix[prefix] = append(x.byPrefix[prefix], i)
	}
	if len(r.Projects) == 0 {
		for _, id := range r.ProjectIDs {
			x.byID[id] = append(x.byID[id], i)
		}
	}
}

// candidates are the rules that may shadow r, in file order, some perhaps twice:
// those that could cover its first project, and those that list its first id.
func (x *shadowIndex) candidates(r *Rule) []int {
	var out []int
	if len(r.Projects) > 0 {
		prefix, _, _ := strings.Cut(string(r.Projects[0]), "*")
		for n := range len(prefix) + 1 {
			out = append(out, x.byPrefix[prefix[:n]]...)
		}
	}
	if len(r.ProjectIDs) > 0 {
		out = append(out, x.byID[r.ProjectIDs[0]]...)
	}
	slices.Sort(out)
	return out
}
