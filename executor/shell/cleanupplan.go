package shell

// anyProject stands in for a project that is not known. Cleanup never looks at
// the directories that belong to it.
const anyProject = 1

// CleanupPlan is a plan for Cleanup alone, for a job of which nothing is left
// but its lease: its processes and its TMPDIR are found by the lease's id.
func CleanupPlan(s Settings, leaseID string) (Plan, error) {
	p, err := NewPlan(Options{Settings: s, ProjectID: anyProject, LeaseID: leaseID})
	p.Since = 0 // the job is older than this process
	return p, err
}
