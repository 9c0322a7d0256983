package roles

// Verdict says whether one rule matched a job, and if not, which condition
// failed first. It is small on purpose: a decision over thousands of rules
// keeps one for each, and the text is made only when somebody reads it.
type Verdict struct {
	Rule *Rule
	// Failed is the first condition that did not hold; Matched if all did.
	Failed Condition
}

// Condition names one condition of a rule by its configuration key.
type Condition uint8

// The conditions, in the order in which they are tried.
const (
	Matched Condition = iota
	CondEnvironments
	CondProjects
	CondMergeRequests
	CondRefProtected
	CondRefs
	CondTiers
	CondUsers
	CondJobs
	CondActions
	CondSources
	CondProof
	CondEnvironmentProtected
	CondUserAccessLevels
	CondCIConfig
)

// Key is the configuration key of the condition, "" for Matched. CondProjects
// stands for projects and project_ids, CondRefs for refs and tag_refs.
func (c Condition) Key() string {
	switch c {
	case CondEnvironments:
		return "environments"
	case CondProjects:
		return "projects"
	case CondMergeRequests:
		return "merge_requests"
	case CondRefProtected:
		return "ref_protected"
	case CondRefs:
		return "refs"
	case CondTiers:
		return "tiers"
	case CondUsers:
		return "users"
	case CondJobs:
		return "jobs"
	case CondActions:
		return "actions"
	case CondSources:
		return "sources"
	case CondProof:
		return "proof"
	case CondEnvironmentProtected:
		return "environment_protected"
	case CondUserAccessLevels:
		return "user_access_levels"
	case CondCIConfig:
		return "ci_config"
	case Matched:
		return ""
	}
	return ""
}
