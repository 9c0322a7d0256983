package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"envrole/internal/fakerunner"
	"envrole/roles/lease"
)

// The red button while jobs run: AWS refuses the sessions meant, the next
// sub-stage does not start, and the others go on.
func TestTheRedButton(t *testing.T) {
	for _, tc := range []struct {
		args  []string
		other bool // the neighbour's session is meant too
	}{
		{[]string{"--job", "9876543"}, false},
		{[]string{"--rule", "production deploys"}, true},
		{[]string{"--role", deployRole}, true},
		{[]string{"--job", "9876543", "--rule", "another"}, false},
	} {
		t.Run(strings.Join(tc.args, " "), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, productionRule)
			g := newGate(w, "gate")
			steps := func(id int) []fakerunner.SubStage {
				return []fakerunner.SubStage{
					{Name: "build_script", Script: w.callAWS() + "; " + g.wait(id) + "; " + w.callAWS() + " || true"},
					{Name: "step_next", Script: "echo next step"},
				}
			}
			payload, neighbour := w.payload("honest_production"), w.payloadAs("honest_production", 5150)
			first, second := make(chan fakerunner.Result, 1), make(chan fakerunner.Result, 1)
			go func() { first <- w.runner.Run(t.Context(), fakerunner.Job{Payload: payload, SubStages: steps(1)}) }()
			go func() { second <- w.runner.Run(t.Context(), fakerunner.Job{Payload: neighbour, SubStages: steps(2)}) }()
			eventually(t, "both scripts run", func() bool { return g.waiting() == 2 })
			out, code := w.envrole(append([]string{"revoke"}, tc.args...)...)
			meant := len(tc.args) == 2
			if (code == 0) != meant || strings.Contains(out, "nothing was revoked") == meant {
				t.Errorf("revoke: %d\n%s", code, out)
			}
			g.open()
			for _, job := range []struct {
				res    fakerunner.Result
				denied bool
			}{{<-first, meant}, {<-second, tc.other}} {
				if !job.denied {
					if job.res.State != fakerunner.Success || strings.Count(job.res.Log, "the call was allowed") != 2 || !strings.Contains(job.res.Log, "next step") {
						t.Errorf("not meant: %s\n%s", job.res.State, job.res.Log)
					}
					continue
				}
				if job.res.State != fakerunner.SystemFailure || strings.Contains(job.res.Log, "next step") {
					t.Errorf("%s\n%s", job.res.State, job.res.Log)
				}
				mustHold(t, "the job's log", job.res.Log, "the call was allowed", "the call was refused: AccessDenied")
			}
			w.settled()
			w.nothingLeft()
		})
	}
}

// The kill switch: nothing is lent any more, what was lent is still taken back.
func TestTheKillSwitch(t *testing.T) {
	w := newWorld(t, productionRule)
	off := func(rules string) { w.configure(rules, "[session]\nenabled = false\n") }
	off(productionRule)
	res := w.run(w.payload("honest_production"), `echo "key ${AWS_ACCESS_KEY_ID:-none}"`)
	if res.State != fakerunner.Success {
		t.Errorf("%s %v\n%s", res.State, res.Err, res.Log)
	}
	mustHold(t, "the job's log", res.Log, "key none", "switched off by the administrator")
	off(productionRule + "require_role = true\n")
	res = w.run(w.payload("honest_production"), "echo it ran")
	if res.State != fakerunner.ScriptFailure || strings.Contains(res.Log, "it ran") {
		t.Errorf("require_role: %s\n%s", res.State, res.Log)
	}
	mustHold(t, "the job's log", res.Log, "refused", "switched off by the administrator")
	if res := w.run(w.payload("honest_without_environment"), "true"); res.State != fakerunner.Success {
		t.Errorf("a job that the rule does not name: %s\n%s", res.State, res.Log)
	}
	if n := len(w.aws.Calls()) + len(w.gitlab.Requests()); n != 0 {
		t.Errorf("%d calls to AWS and GitLab", n)
	}
	// Thrown while a job runs.
	w.configure(productionRule, "")
	w.runner.BeforeCleanup = func() { off(productionRule) }
	if res := w.run(w.payload("honest_production"), w.callAWS()); res.State != fakerunner.Success {
		t.Errorf("%s %v\n%s", res.State, res.Err, res.Log)
	}
	w.settled()
	w.nothingLeft()
}

// The rule that lent is gone when its job ends: the session is revoked all the same.
func TestARuleRemovedInMidJob(t *testing.T) {
	w := newWorld(t, productionRule)
	w.runner.BeforeCleanup = func() {
		w.configure(strings.ReplaceAll(strings.ReplaceAll(productionRule, "production", "staging"), "deploy-shop", "stage-shop"), "")
	}
	if res := w.run(w.payload("honest_production"), "true"); res.State != fakerunner.Success || res.Cleanup != "" {
		t.Errorf("%s %v\n%s\n%s", res.State, res.Err, res.Log, res.Cleanup)
	}
	w.settled()
}

func TestARequiredRoleFailsTheJobThatCannotHaveIt(t *testing.T) {
	for name, tc := range map[string]struct {
		keys, says string
	}{
		"ref":   {"refs = [\"release/*\"]\n", "refs"},
		"tier":  {"tiers = [\"staging\"]\n", "tiers"},
		"user":  {"users = [\"mallory\"]\n", "users"},
		"other": {"jobs = [\"nothing\"]\n", "jobs"},
	} {
		w := newWorld(t, productionRule+"require_role = true\n"+tc.keys)
		res := w.run(w.payload("honest_production"), "echo it ran")
		if res.State != fakerunner.ScriptFailure || strings.Contains(res.Log, "it ran") || w.aws.Count("AssumeRole") != 0 {
			t.Errorf("%s: %s\n%s", name, res.State, res.Log)
		}
		mustHold(t, "the job's log", res.Log, "refused", "production deploys", tc.says)
		// Without the key the same job runs, and says why it has no role.
		w.configure(productionRule+tc.keys, "")
		res = w.run(w.payload("honest_production"), "echo it ran")
		if res.State != fakerunner.Success || !strings.Contains(res.Log, "it ran") {
			t.Errorf("%s, not required: %s\n%s", name, res.State, res.Log)
		}
		mustHold(t, "the job's log", res.Log, "no role", tc.says)
	}
}

// revoke = "local" destroys the credentials on the host and asks IAM nothing.
func TestALocalRevocationDestroysOnly(t *testing.T) {
	w := newWorld(t, productionRule+"revoke = \"local\"\n")
	if res := w.run(w.payload("honest_production"), w.callAWS()); res.State != fakerunner.Success {
		t.Fatalf("%s %v\n%s", res.State, res.Err, res.Log)
	}
	if n := w.aws.Count("PutRolePolicy"); n != 0 || len(w.live()) != 1 {
		t.Errorf("%d policies written, %d live sessions", n, len(w.live()))
	}
	if le := w.leases(); len(le) != 1 || le[0].State != lease.Denied || le[0].Note != lease.NoteLocal {
		t.Errorf("ledger: %+v", le)
	}
	w.nothingLeft()
	if _, err := os.Stat(filepath.Join(w.state, "audit.jsonl")); err != nil {
		t.Error(err)
	}
}
