package shell

import (
	"os/exec"
	"testing"
)

// A job's processes are found by their mark, and only among those that are no
// older than the job: a plan that does not know its age looks at all.
func TestMarkedProcessesAreNoOlderThanTheJob(t *testing.T) {
	plan, err := NewPlan(Options{Settings: Settings{Shell: "bash"}, ProjectID: 1, LeaseID: "since"})
	if err != nil {
		t.Fatal(err)
	}
	if plan.Since == 0 {
		t.Fatal("the plan does not know since when its job may run")
	}
	child := exec.Command("sleep", "60")
	child.Env = []string{plan.mark()}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
	found := func(p Plan) bool {
		table, err := processes()
		if err != nil {
			t.Fatal(err)
		}
		return p.markedProcesses(table, map[int]bool{})[child.Process.Pid]
	}
	if !found(plan) {
		t.Error("a process that is younger than the plan is not found")
	}
	own, ok := readProcess(child.Process.Pid)
	if !ok {
		t.Fatal("the child is gone")
	}
	later := plan
	later.Since = own.start + 1
	if found(later) {
		t.Error("a process that is older than the job is taken for one of it")
	}
	bare, err := CleanupPlan(Settings{Shell: "bash"}, "since")
	if err != nil {
		t.Fatal(err)
	}
	if bare.Since != 0 || !found(bare) {
		t.Error("a plan for cleanup alone, younger than its job, does not find the job's processes")
	}
}
