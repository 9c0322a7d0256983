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
)
