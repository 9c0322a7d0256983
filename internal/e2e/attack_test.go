package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"envrole/internal/fakerunner"
)

// anyRef is the production rule without the safety of protected refs: what an
// unwary administrator writes, and what forgeries aim at.
const anyRef = productionRule + "ref_protected = false\n"

func TestForgedPayloadsGetNoRole(t *testing.T) {
	for _, tc := range []struct {
		payload string
		refused bool   // or: runs without a role
		want    string // in the job's log
	}{
		{"name_without_environment", true, "has no environment"},
		{"name_hoisted_by_job_name", true, "has no environment"},
		{"environment_named_dollar_variable", true, "env-ci-job-name"},
		{"review_overridden_by_variable", true, "CI_ENVIRONMENT_NAME is set more than once"},
		{"review_with_claimed_tier", false, "no role: no rule for environment \"review/x\""},
	} {
		w := newWorld(t, anyRef)
		res := w.run(w.payload(tc.payload), `echo "ran with key ${AWS_ACCESS_KEY_ID:-none}"`)
		if refused := res.State == fakerunner.ScriptFailure; refused != tc.refused || res.State == fakerunner.SystemFailure {
			t.Errorf("%s: %s\n%s", tc.payload, res.State, res.Log)
		}
		if strings.Contains(res.Log, "key ASIA") || !strings.Contains(res.Log, tc.want) {
			t.Errorf("%s: want %q in the log:\n%s", tc.payload, tc.want, res.Log)
		}
		if n := w.aws.Count("AssumeRole"); n != 0 {
			t.Errorf("%s: STS was asked %d times", tc.payload, n)
		}
		if strings.Contains(res.Log, "glcbt-") {
			t.Errorf("%s: the log shows the job's token", tc.payload)
		}
	}
}

func TestVariablesThatHideTheSessionFailTheJob(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		w := newWorld(t, productionRule)
		p, err := fakerunner.WithVariables(w.payload("honest_production"), fakerunner.Variable{Key: name, Value: "stale-value"})
		if err != nil {
			t.Fatal(err)
		}
		res := w.run(p, "true")
		if res.State != fakerunner.ScriptFailure || !strings.Contains(res.Log, name) || strings.Contains(res.Log, "stale-value") {
			t.Errorf("%s: %s\n%s", name, res.State, res.Log)
		}
		w.configure(productionRule+"shadowing = \"warn\"\n", "")
		res = w.run(p, "true")
		if res.State != fakerunner.Success || !strings.Contains(res.Log, "warning") || !strings.Contains(res.Log, name) {
			t.Errorf("%s, warn: %s\n%s", name, res.State, res.Log)
		}
	}
}

// A job's environment is compared with a full list: what is not on it is a leak.
func TestAJobsEnvironmentIsBuiltFromNothing(t *testing.T) {
	w := newWorld(t, productionRule)
	w.configure(productionRule, "[executor]\npass_env = [\"HTTPS_PROXY\"]\n")
	w.runner.Environ = append(w.runner.Environ, "HTTPS_PROXY=http://proxy:3128", "LC_ALL=C.UTF-8", "LD_LIBRARY_PATH=/evil",
		"GITLAB_TOKEN=x", "VAULT_TOKEN=y", "SSH_AUTH_SOCK=/tmp/agent", "BASH_ENV=/evil", "AWS_MAX_ATTEMPTS=2")
	out := filepath.Join(w.dir, "names")
	sub := fakerunner.SubStage{Name: "build_script", Script: "env -0 | tr '\\0' '\\n' > " + out}
	// No variables of the job here: only what the driver itself sets.
	payload := w.payload("honest_production")
	res := w.bare(payload, sub)
	if res.State != fakerunner.Success {
		t.Fatalf("%s %v\n%s", res.State, res.Err, res.Log)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{
		"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TMPDIR", "TERM", "HTTPS_PROXY", "ENVROLE_JOB",
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION", "AWS_REGION", "AWS_DEFAULT_REGION",
		"AWS_EC2_METADATA_DISABLED", "ENVROLE_ROLE_ARN", "ENVROLE_SESSION_NAME", "ENVROLE_ENVIRONMENT",
		"PWD", "OLDPWD", "SHLVL", "_", // bash's own
	}
	var got []string
	for line := range strings.Lines(string(b)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), "=")
		got = append(got, name)
		if !slices.Contains(allowed, name) {
			t.Errorf("the job's environment holds %s", name)
		}
	}
	for _, name := range allowed[:21] {
		if !slices.Contains(got, name) {
			t.Errorf("the job's environment lacks %s", name)
		}
	}
	if strings.Contains(string(b), "AWS_MAX_ATTEMPTS") || strings.Contains(string(b), "do-not-leak") {
		t.Error("the runner's environment leaked")
	}
}

// The payload file can be rewritten by a job that runs as the runner's user:
// nothing in it counts after prepare.
func TestARewrittenPayloadChangesNothing(t *testing.T) {
	w := newWorld(t, productionRule)
	payload := w.payload("honest_without_environment")
	res := w.runner.Run(t.Context(), fakerunner.Job{Payload: payload, SubStages: []fakerunner.SubStage{
		{Name: "get_sources", Script: `printf '%s' '` + strings.ReplaceAll(string(w.payload("honest_production")), "'", `'\''`) + `' > "$TMPDIR/response.json"`},
		{Name: "build_script", Script: `echo "key ${AWS_ACCESS_KEY_ID:-none}"`},
	}})
	if res.State != fakerunner.Success || !strings.Contains(res.Log, "key none") {
		t.Errorf("%s %v\n%s", res.State, res.Err, res.Log)
	}
	if n := w.aws.Count("AssumeRole"); n != 0 {
		t.Errorf("STS was asked %d times", n)
	}
}

// A job under the runner's user can also delete or replace the sealed state.
func TestASealedStateThatWasTamperedWithStopsTheJob(t *testing.T) {
	for name, script := range map[string]string{
		"deleted":   "rm -f %s/sealed/*",
		"changed":   "for f in %s/sealed/*; do printf x >> $f; done",
		"truncated": "for f in %s/sealed/*; do : > $f; done",
	} {
		w := newWorld(t, productionRule)
		res := w.runner.Run(t.Context(), fakerunner.Job{Payload: w.payload("honest_production"), SubStages: []fakerunner.SubStage{
			{Name: "get_sources", Script: strings.ReplaceAll(script, "%s", w.state)},
			{Name: "build_script", Script: "echo it ran"},
		}})
		if res.State != fakerunner.SystemFailure || strings.Contains(res.Log, "it ran") {
			t.Errorf("%s: %s\n%s", name, res.State, res.Log)
		}
		if live := w.live(); len(live) > 0 {
			t.Errorf("%s: live after cleanup: %v", name, live)
		}
	}
}

// What job_env holds cannot be replaced by CI/CD variables.
func TestVariablesCannotReplaceJobEnv(t *testing.T) {
	w := newWorld(t, productionRule)
	p, err := fakerunner.WithVariables(w.payload("honest_production"),
		fakerunner.Variable{Key: "ENVROLE_LEASE_ID", Value: "aaaaaaaaaaaaaaaaaaaaaaaaaa"},
		fakerunner.Variable{Key: "ENVROLE_STATE_DIR", Value: "/tmp"},
		fakerunner.Variable{Key: "ENVROLE_CONFIG", Value: "/tmp/evil.toml"},
		fakerunner.Variable{Key: "BUILD_EXIT_CODE_FILE", Value: "/etc/passwd"},
		fakerunner.Variable{Key: "JOB_RESPONSE_FILE", Value: "/etc/passwd"})
	if err != nil {
		t.Fatal(err)
	}
	res := w.run(p, `exit 7`)
	if res.State != fakerunner.ScriptFailure || res.ExitCode != 7 {
		t.Errorf("%s %d\n%s", res.State, res.ExitCode, res.Log)
	}
	if live := w.live(); len(live) > 0 {
		t.Errorf("live after cleanup: %v", live)
	}
}
