package roles

import (
	"fmt"
	"strconv"
)

// Reason says in one line why the rule did not match: the condition's key, the
// job's value and what the rule wants, as in
// `ref_protected: the ref "feature-9" is not protected`. It is "all conditions
// hold" for a match. f are the facts that the decision was made on. Values are
// quoted and cut, whatever they hold.
func (v Verdict) Reason(f Facts) string {
	if v.Rule == nil {
		return ""
	}
	if v.Failed == Matched {
		return "all conditions hold"
	}
	return v.Failed.Key() + ": " + v.detail(&f)
}

func (v Verdict) detail(f *Facts) string {
	r := v.Rule
	switch v.Failed {
	case CondEnvironments:
		return among("the environment", f.Environment, r.Environments, true)
	case CondProjects:
		return r.projectDetail(f)
	case CondMergeRequests:
		return "the pipeline runs for a merge request (ref " + quote(f.Ref.Value) + ")"
	case CondRefProtected:
		if f.RefProtectionUnsaid {
			return "nobody says whether the ref " + quote(f.Ref.Value) + " is protected; runners before 18.4 and GitLab before 18.3 do not (see legacy_ref_protected)"
		}
		return "the ref " + quote(f.Ref.Value) + " is not protected"
	case CondRefs:
		return r.refDetail(f)
	case CondTiers:
		return among("the tier", f.Tier, r.Tiers, true)
	case CondUsers:
		return among("the user", f.UserLogin, r.Users, true)
	case CondJobs:
		return among("the job's name", f.JobName, r.Jobs, false)
	case CondActions:
		return among("the environment action", f.Action, r.Actions, false)
	case CondSources:
		return among("the pipeline's source", f.Source, r.Sources, false)
	case CondProof:
		return "the environment is proven by " + f.Environment.From.String() + "; the rule wants " + r.Proof.String()
	case CondEnvironmentProtected:
		return r.protectedDetail(f)
	case CondUserAccessLevels:
		return among("the user's access level", f.UserAccessLevel, r.UserAccessLevels, true)
	case CondCIConfig:
		return among("the pipeline's configuration", f.CIConfig, r.CIConfig, true)
	case Matched:
	}
	return "does not hold"
}

// among explains a list condition. needProof: the author's word is not enough.
func among(what string, f Fact, want []Pattern, needProof bool) string {
	switch {
	case len(want) == 0:
		return "the rule names none"
	case !f.Known() || f.Value == "":
		return what + " is not known; the rule wants " + list(want)
	case needProof && !f.Proven():
		return what + " " + quote(f.Value) + " is only " + f.From.String() + "'s word"
	}
	return what + " " + quote(f.Value) + " is not " + list(want)
}

func (r *Rule) projectDetail(f *Facts) string {
	if len(r.ProjectIDs) > 0 && !(&Rule{ProjectIDs: r.ProjectIDs}).projectHolds(f) {
		if f.ProjectID == 0 {
			return "the project's id is not known"
		}
		return "the project's id " + strconv.FormatInt(f.ProjectID, 10) + " is not in project_ids"
	}
	return among("the project", f.ProjectPath, r.Projects, true)
}

func (r *Rule) protectedDetail(f *Facts) string {
	if !f.EnvironmentProtected.Proven() {
		return "no ID token says whether the environment is protected"
	}
	return "the environment " + quote(f.Environment.Value) + " is not protected"
}

func (r *Rule) refDetail(f *Facts) string {
	kind, key, want := "the branch", "refs", r.Refs
	if f.Tag {
		kind, key, want = "the tag", "tag_refs", r.TagRefs
	}
	if len(want) == 0 && f.Ref.Proven() {
		return fmt.Sprintf("%s %s: the rule has no %s", kind, quote(f.Ref.Value), key)
	}
	return among(kind, f.Ref, want, true)
}

// wayOut is what somebody who needs the role can do about a failed condition.
func wayOut(c Condition) string {
	switch c {
	case CondMergeRequests:
		return "run the job in a branch or tag pipeline"
	case CondRefProtected:
		return "run the job on a protected branch or tag, or have a maintainer protect this one"
	case CondRefs:
		return "run the job on a branch or tag that the rule names"
	case CondTiers:
		return "have the environment's tier corrected in GitLab"
	case CondUsers:
		return "have the job started by a user that the rule names"
	case CondJobs:
		return "give the job a name that the rule names"
	case CondActions:
		return "give the job's environment an action that the rule names"
	case CondSources:
		return "start the pipeline in a way that the rule names"
	case CondEnvironmentProtected:
		return "have a maintainer protect the environment"
	case CondUserAccessLevels:
		return "have the job started by a user with such a role in the project"
	case CondCIConfig:
		return "run the job in a pipeline whose configuration the rule names"
	case Matched, CondEnvironments, CondProjects, CondProof: // CondProof is no case of require_role
	}
	return "ask an administrator to add a rule"
}
