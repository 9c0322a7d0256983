package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"envrole/internal/fakeaws"
	"envrole/internal/fakerunner"
)

// Every event has the fields that tell who got what, and none tells a secret
// (w.audit looks for those).
func TestTheAuditLogTellsEverythingButSecrets(t *testing.T) {
	w := newWorld(t, productionRule)
	var tokens [][]byte
	id := int64(5000)
	run := func(want fakerunner.State, rules string, faults ...fakeaws.Fault) {
		t.Helper()
		id++
		w.aws.ClearFaults()
		w.aws.Push(faults...)
		w.configure(rules, "")
		payload := w.payloadAs("honest_production", id)
		tokens = append(tokens, payload)
		if res := w.run(payload, "true"); res.State != want {
			t.Fatalf("%s, want %s\n%s", res.State, want, res.Log)
		}
	}
	run(fakerunner.Success, productionRule)                                                       // lent, revoked
	run(fakerunner.Success, productionRule+"refs = [\"release/*\"]\n")                            // no_role
	run(fakerunner.Success, productionRule+"revoke = \"local\"\n")                                // destroyed
	run(fakerunner.ScriptFailure, productionRule+"require_role = true\nrefs = [\"release/*\"]\n") // refused
	denied := fakeaws.Fault{Status: 403, Code: "AccessDenied", Message: "not authorized", Times: -1}
	denied.Action, denied.Match = "AssumeRole", "deploy-shop"
	run(fakerunner.ScriptFailure, productionRule, denied) // void, lend_failed
	denied.Action = "PutRolePolicy"
	run(fakerunner.Success, productionRule, denied) // revoke_failed
	w.aws.ClearFaults()
	if out, code := w.envrole("sweep"); code != 0 { // revoked
		t.Fatalf("sweep: %d\n%s", code, out)
	}
	w.laterBy(4 * time.Hour)
	if out, code := w.envrole("sweep"); code != 0 { // expired, policy_deleted
		t.Fatalf("sweep: %d\n%s", code, out)
	}

	always := []string{"time", "level", "event"}
	ofJob := []string{"lease", "job", "job_url", "project", "project_id", "environment", "environment_from", "ref", "user", "proof", "config"}
	ofLease := []string{"lease", "job", "job_url", "project", "environment", "rule", "role", "session", "access_key_id", "outcome", "expires"}
	fields := map[string][]string{
		"lent": append([]string{
			"rule", "role", "session", "access_key_id", "assumed_role_id", "expires", "duration_s", "packed_policy_percent",
			"revoke", "reason", "base", "process_guarantee", "sts_ms", "proof_ms",
		}, ofJob...),
		"no_role": append([]string{"reason"}, ofJob...),
		"refused": append([]string{"reason", "class"}, ofJob...),
		"void":    append([]string{"role", "session"}, ofJob...), "lend_failed": append([]string{"reason", "class", "rule"}, ofJob...),
		"revoked": append([]string{"deny_window"}, ofLease...), "destroyed": ofLease, "revoke_failed": append([]string{"reason"}, ofLease...),
		"expired": ofLease, "policy_deleted": {"role", "policy"},
	}
	count := map[string]int{}
	var sessions []string
	for _, line := range w.audit() {
		event, _ := line["event"].(string)
		count[event]++
		want, known := fields[event]
		if !known {
			t.Errorf("unexpected event %q: %v", event, line)
		}
		for _, name := range append(want, always...) {
			if _, has := line[name]; !has {
				t.Errorf("%s lacks %s: %v", event, name, line)
			}
		}
		if at, err := time.Parse(time.RFC3339Nano, line["time"].(string)); err != nil || time.Since(at) > time.Hour || at.Location() != time.UTC {
			t.Errorf("%s: time %v, %v", event, line["time"], err)
		}
		if name, ok := line["session"].(string); ok && event == "lent" {
			sessions = append(sessions, name)
		}
	}
	want := map[string]int{
		"lent": 3, "no_role": 1, "refused": 1, "void": 1, "lend_failed": 1, "revoked": 2, "destroyed": 1, "revoke_failed": 1, "expired": 3, "policy_deleted": 1,
	}
	for event, n := range want {
		if count[event] != n && event != "policy_deleted" { // two at the turn of an hour
			t.Errorf("%d %s in the audit log, want %d: %v", count[event], event, n, count)
		}
	}
	for _, s := range w.aws.Sessions() {
		if s.Role == deployRole && !slices.Contains(sessions, s.Name) {
			t.Errorf("session %s is not in the audit log", s.Name)
		}
	}
	for _, payload := range tokens {
		w.noToken(payload, readFile(t, w.state+"/audit.jsonl"))
	}
}

// Names that authors choose cannot break a line of the log, nor fake one.
func TestHostileNamesStayInsideTheirAuditLine(t *testing.T) {
	w := newWorld(t, productionRule)
	honest := string(w.payload("honest_without_environment"))
	for _, name := range []string{`"feature-9"`, `"project_full_path": "`} {
		if !strings.Contains(honest, name) {
			t.Fatalf("the payload lacks %s", name)
		}
	}
	evil := `\n{\"event\":\"lent\"}\u2028\u0000\u001b[2J`
	payload := strings.ReplaceAll(honest, `"ref": "feature-9"`, `"ref": "feature-9`+evil+`"`)
	payload = strings.ReplaceAll(payload, `"project_full_path": "`, `"project_full_path": "`+evil)
	res := w.runner.Run(t.Context(), fakerunner.Job{Payload: []byte(payload), SubStages: []fakerunner.SubStage{{Name: "get_sources", Script: "true"}}})
	if res.State != fakerunner.ScriptFailure && res.State != fakerunner.Success {
		t.Errorf("%s %v\n%s", res.State, res.Err, res.Log)
	}
	for _, line := range w.audit() {
		if line["event"] == "lent" {
			t.Errorf("a faked line: %v", line)
		}
	}
	if strings.ContainsAny(res.Log, "\x1b\x00") {
		t.Errorf("control characters in the log: %q", res.Log)
	}
}
