package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"envrole/internal/fakerunner"
	"envrole/roles/lease"
)

func TestAProductionJobGetsItsRoleAndLosesIt(t *testing.T) {
	w := newWorld(t, productionRule)
	envFile := filepath.Join(w.dir, "env")
	res := w.run(w.payload("honest_production"), `env -0 > `+envFile+`; echo "key $AWS_ACCESS_KEY_ID"; echo "$AWS_SECRET_ACCESS_KEY"`)
	if res.State != fakerunner.Success {
		t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
	sessions := w.aws.Sessions()
	i := slices.IndexFunc(sessions, func(s sessionInfo) bool { return s.Role == deployRole })
	if i < 0 {
		t.Fatal("no session of the role")
	}
	got := sessions[i]
	if !got.Denied {
		t.Error("the session is not denied after cleanup")
	}
	if got.Tags["envrole:environment"] != "production" || got.Tags["envrole:project"] != "acme/platform/shop" || got.Tags["envrole:ref"] != "main" {
		t.Errorf("session tags: %v", got.Tags)
	}
	for _, want := range []string{
		"Using Custom executor with driver envrole/shell",
		`envrole: environment "production", proven by GitLab (API): role ` + deployRole,
		"envrole: session " + got.Name + " until",
		"key " + got.AccessKeyID,
		"[MASKED]",
	} {
		if !strings.Contains(res.Log, want) {
			t.Errorf("the log lacks %q:\n%s", want, res.Log)
		}
	}
	w.noSecrets("the job's log", res.Log)
	w.noSecrets("cleanup's log", res.Cleanup)
	env, err := os.ReadFile(envFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"AWS_ACCESS_KEY_ID=" + got.AccessKeyID, "AWS_REGION=eu-central-1", "AWS_DEFAULT_REGION=eu-central-1",
		"AWS_EC2_METADATA_DISABLED=true", "ENVROLE_ROLE_ARN=" + deployRole, "ENVROLE_SESSION_NAME=" + got.Name, "ENVROLE_ENVIRONMENT=production",
	} {
		if !slices.Contains(strings.Split(string(env), "\x00"), want) {
			t.Errorf("the job's environment lacks %s", want)
		}
	}
	leases := w.leases()
	if len(leases) != 1 || leases[0].State != lease.Denied {
		t.Errorf("ledger: %+v", leases)
	}
	w.nothingLeft()
	if n := len(w.gitlab.Requests()); n != 2 {
		t.Errorf("%d calls to GitLab, want 2", n)
	}
	if lent, revoker := w.aws.Count("AssumeRole"), w.aws.Count("PutRolePolicy"); lent != 2 || revoker != 1 {
		t.Errorf("%d AssumeRole (want 2: the role and the revoker), %d PutRolePolicy (want 1)", lent, revoker)
	}
}

func TestOnlyUserSubStagesGetTheSession(t *testing.T) {
	w := newWorld(t, productionRule+"sub_stages = [\"restore_cache\"]\n")
	show := func(name string) fakerunner.SubStage {
		return fakerunner.SubStage{Name: name, Script: `echo "` + name + ` ${AWS_ACCESS_KEY_ID:-none} ${AWS_EC2_METADATA_DISABLED:-unset}"`}
	}
	var subs []fakerunner.SubStage
	for _, name := range []string{
		"prepare_script", "get_sources", "clear_worktree", "restore_cache", "download_artifacts", "build_script", "step_release", "after_script",
		"archive_cache", "upload_artifacts_on_success", "cleanup_file_variables", "something_new",
	} {
		subs = append(subs, show(name))
	}
	res := w.runner.Run(t.Context(), fakerunner.Job{Payload: w.payload("honest_production"), SubStages: subs})
	if res.State != fakerunner.Success {
		t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
	with := []string{"restore_cache", "build_script", "step_release", "after_script"}
	for _, sub := range subs {
		has := strings.Contains(res.Log, sub.Name+" ASIA") && strings.Contains(res.Log, " true")
		none := strings.Contains(res.Log, sub.Name+" none true")
		if slices.Contains(with, sub.Name) != has || slices.Contains(with, sub.Name) == none {
			t.Errorf("%s: has session %v", sub.Name, has)
		}
	}
}

func TestAJobWithoutEnvironmentRunsWithoutARole(t *testing.T) {
	w := newWorld(t, productionRule)
	res := w.run(w.payload("honest_without_environment"), `echo "key ${AWS_ACCESS_KEY_ID:-none}"`)
	if res.State != fakerunner.Success || !strings.Contains(res.Log, "key none") || !strings.Contains(res.Log, "envrole: no role: the job has no environment") {
		t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
	if len(w.gitlab.Requests()) != 0 || len(w.aws.Calls()) != 0 {
		t.Errorf("GitLab was asked %d times, AWS %d times; want none", len(w.gitlab.Requests()), len(w.aws.Calls()))
	}
	if len(w.leases()) != 0 {
		t.Error("a lease was written")
	}
	w.nothingLeft()
}

func TestExitCodesAreTheScripts(t *testing.T) {
	for _, tc := range []struct {
		script string
		old    bool
		code   int
	}{
		{"exit 0", false, 0},
		{"exit 1", false, 1},
		{"exit 42", false, 42},
		{"exit 255", false, 255},
		{"false", false, 1},
		{"exit 42", true, 1}, // a runner without BUILD_EXIT_CODE_FILE
	} {
		w := newWorld(t, productionRule)
		w.runner.WithoutExitCodeFile = tc.old
		res := w.run(w.payload("honest_without_environment"), tc.script)
		want := fakerunner.ScriptFailure
		if tc.code == 0 {
			want = fakerunner.Success
		}
		if res.State != want || res.ExitCode != tc.code {
			t.Errorf("%s (old runner %v): %s %d, want %s %d\n%s", tc.script, tc.old, res.State, res.ExitCode, want, tc.code, res.Log)
		}
	}
}

func TestAnOlderRunnersPayload(t *testing.T) {
	w := newWorld(t, strings.ReplaceAll(productionRule, "acme/platform/*", "acme/shop/*"))
	res := w.run(w.runner17(), `echo "key ${AWS_ACCESS_KEY_ID:-none}"`)
	if res.State != fakerunner.Success || !strings.Contains(res.Log, "key none") || !strings.Contains(res.Log, "ref_protected") {
		t.Errorf("without git_info.protected the ref must not count as protected: %s\n%s", res.State, res.Log)
	}
	w.configureGitLab("legacy_ref_protected = true", strings.ReplaceAll(productionRule, "acme/platform/*", "acme/shop/*"))
	res = w.run(w.runner17(), `echo "key ${AWS_ACCESS_KEY_ID:-none}"`)
	if res.State != fakerunner.Success || !strings.Contains(res.Log, "key ASIA") {
		t.Errorf("legacy_ref_protected: %s %v\n%s", res.State, res.Err, res.Log)
	}
}
