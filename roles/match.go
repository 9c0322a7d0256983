package roles

import "slices"

// This file holds what each condition means. A fact that is not known meets no
// condition; one that is only the author's word meets those on the job's name,
// action and source, which can but narrow a rule.

// Proven says whether somebody other than the job's author vouches for the
// fact. An empty value is no fact.
func (f Fact) Proven() bool {
	switch f.From {
	case Unverified, Payload, GitLabAPI, IDToken, IDTokenAndAPI:
		return f.Value != ""
	case Absent, Author:
		return false
	}
	return false
}

// firstFailure tries the conditions in their order.
func (r *Rule) firstFailure(f *Facts) Condition {
	switch {
	case !f.Environment.Proven() || !anyMatch(r.Environments, f.Environment.Value):
		return CondEnvironments
	case !r.projectHolds(f):
		return CondProjects
	}
	if c := r.refFailure(f); c != Matched {
		return c
	}
	switch {
	case !provenIn(r.Tiers, f.Tier):
		return CondTiers
	case !provenIn(r.Users, f.UserLogin):
		return CondUsers
	}
	if c := r.wordFailure(f); c != Matched {
		return c
	}
	return r.signedFailure(f)
}

// refFailure tries the conditions on the ref, which the payload settles.
func (r *Rule) refFailure(f *Facts) Condition {
	switch {
	case !r.MergeRequests && (f.MergeRequest || IsMergeRequestRef(f.Ref.Value)):
		return CondMergeRequests
	case !r.AnyRef && !f.RefProtected:
		return CondRefProtected
	case !r.refHolds(f):
		return CondRefs
	}
	return Matched
}

// wordFailure tries the conditions that the author's word may meet. Where the
// rule wants an ID token the source is not one of them: the token says it, and
// what a variable says instead must not lead past the rule.
func (r *Rule) wordFailure(f *Facts) Condition {
	switch {
	case !saidIn(r.Jobs, f.JobName):
		return CondJobs
	case !saidIn(r.Actions, f.Action):
		return CondActions
	case r.Proof < IDToken && !saidIn(r.Sources, f.Source):
		return CondSources
	}
	return Matched
}

// signedFailure tries what only a proof can settle: whether it is as strong as
// the rule demands, and the conditions on the claims of an ID token.
func (r *Rule) signedFailure(f *Facts) Condition {
	switch {
	case f.Environment.From < r.Proof:
		return CondProof
	case !saidIn(r.Sources, f.Source):
		return CondSources
	case r.EnvironmentProtected && !signed(f.EnvironmentProtected, "true"):
		return CondEnvironmentProtected
	case !signedIn(r.UserAccessLevels, f.UserAccessLevel):
		return CondUserAccessLevels
	case len(r.CIConfig) > 0 && (f.CIConfig.From < IDToken || !configIn(r.CIConfig, f.CIConfig.Value)):
		return CondCIConfig
	}
	return Matched
}

// signed says whether an ID token vouches for the fact and this value.
func signed(f Fact, want string) bool { return f.From >= IDToken && f.Value == want }

func signedIn(patterns []Pattern, f Fact) bool {
	return len(patterns) == 0 || f.From >= IDToken && f.Value != "" && anyMatch(patterns, f.Value)
}

// projectHolds wants every given one of projects and project_ids to hold, and
// at least one to be given: a rule that names no project is no rule.
func (r *Rule) projectHolds(f *Facts) bool {
	if len(r.Projects) == 0 && len(r.ProjectIDs) == 0 {
		return false
	}
	if len(r.ProjectIDs) > 0 && (f.ProjectID == 0 || !slices.Contains(r.ProjectIDs, f.ProjectID)) {
		return false
	}
	return provenIn(r.Projects, f.ProjectPath)
}

// refHolds: refs speak of branches, tag_refs of tags; naming one kind leaves
// out the other.
func (r *Rule) refHolds(f *Facts) bool {
	if len(r.Refs) == 0 && len(r.TagRefs) == 0 {
		return true
	}
	if !f.Ref.Proven() {
		return false
	}
	if f.Tag {
		return anyMatch(r.TagRefs, f.Ref.Value)
	}
	return anyMatch(r.Refs, f.Ref.Value)
}

func provenIn(patterns []Pattern, f Fact) bool {
	return len(patterns) == 0 || f.Proven() && anyMatch(patterns, f.Value)
}

// saidIn is provenIn for facts that may be the author's word.
func saidIn(patterns []Pattern, f Fact) bool {
	return len(patterns) == 0 || f.Known() && f.Value != "" && anyMatch(patterns, f.Value)
}
