package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"envrole/internal/fakerunner"
)

// program runs a binary with exactly this environment.
func program(t *testing.T, name string, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(filepath.Join(binaries, name), args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// asRunner is the environment of a call by the runner, with odd exit codes.
func (w *world) asRunner(payload []byte) []string {
	w.t.Helper()
	file := filepath.Join(w.dir, "response.json")
	if err := os.WriteFile(file, payload, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return append(append([]string{}, w.runner.Environ...), "TMPDIR="+w.dir, "JOB_RESPONSE_FILE="+file,
		"BUILD_FAILURE_EXIT_CODE=77", "SYSTEM_FAILURE_EXIT_CODE=88", "BUILD_EXIT_CODE_FILE="+filepath.Join(w.dir, "code"))
}

var stages = []string{"envrole-config", "envrole-prepare", "envrole-run", "envrole-cleanup"}

func TestOutsideARunnerAStageSaysWhatItIs(t *testing.T) {
	for _, name := range stages {
		out, errs, code := program(t, name, []string{"PATH=" + os.Getenv("PATH")})
		if code == 0 || code == 1 || code == 2 || out != "" {
			t.Errorf("%s: exit code %d, stdout %q", name, code, out)
		}
		mustHold(t, name, errs, name, "not started by GitLab Runner", "custom executor", "--config FILE")
	}
	out, errs, code := program(t, "envrole", nil)
	if code == 0 {
		t.Errorf("envrole: exit code %d", code)
	}
	mustHold(t, "envrole", out+errs, "Usage: envrole COMMAND")
}

func TestVersionAndHelp(t *testing.T) {
	for _, name := range append([]string{"envrole"}, stages...) {
		out, errs, code := program(t, name, nil, "--version")
		if code != 0 || errs != "" || !strings.HasPrefix(out, name+" ") || strings.Count(out, "\n") != 1 {
			t.Errorf("%s --version: %d %q %q", name, code, out, errs)
		}
		out, errs, code = program(t, name, nil, "--help")
		if code != 0 {
			t.Errorf("%s --help: %d", name, code)
		}
		mustHold(t, name+" --help", out+errs, "Usage: "+name)
	}
}

// A wrong command line is the runner's configuration gone wrong: a system
// failure, in the runner's own code.
func TestAWrongCommandLine(t *testing.T) {
	w := newWorld(t, productionRule)
	env := w.asRunner(w.payload("honest_production"))
	for name, args := range map[string][]string{
		"envrole-run": {"--config", w.config, "script"}, "envrole-config": {"--config", w.config, "extra"},
		"envrole-prepare": {"--config", w.config, "extra"}, "envrole-cleanup": {"--configs", w.config},
	} {
		out, errs, code := program(t, name, env, args...)
		if code != 88 || out != "" || errs == "" {
			t.Errorf("%s: %d %q %q", name, code, out, errs)
		}
	}
	if n := len(w.aws.Calls()); n != 0 {
		t.Errorf("%d calls to AWS", n)
	}
}

func TestConfigPrintsJSONAndNothingElse(t *testing.T) {
	w := newWorld(t, productionRule)
	out, errs, code := program(t, "envrole-config", w.asRunner(w.payload("honest_production")), "--config", w.config)
	if code != 0 || errs != "" {
		t.Fatalf("%d %s", code, errs)
	}
	dec := json.NewDecoder(strings.NewReader(out))
	var got map[string]any
	if err := dec.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		t.Errorf("text after the JSON: %q", out)
	}
	for _, key := range []string{"driver", "builds_dir", "cache_dir", "builds_dir_is_shared", "job_env"} {
		if got[key] == nil {
			t.Errorf("no %s in %s", key, out)
		}
	}
	// Broken, it prints no half JSON either.
	w.configure("nonsense = 1", "")
	out, errs, code = program(t, "envrole-config", w.asRunner(w.payload("honest_production")), "--config", w.config)
	if code != 77 || out != "" {
		t.Errorf("%d %q", code, out)
	}
	mustHold(t, "config's stderr", errs, w.config, "nonsense")
}

// The configuration breaks between two stages of a job.
func TestAConfigurationThatBreaksInMidJob(t *testing.T) {
	w := newWorld(t, productionRule)
	bad := filepath.Join(w.dir, "bad.toml")
	if err := os.WriteFile(bad, []byte("[gitlab]\nurl = 5\nsurprise = true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := w.runner
	w.runner.PrepareExec = []string{good.PrepareExec[0], "--config", bad}
	res := w.run(w.payload("honest_production"), "echo it ran")
	if res.State != fakerunner.ScriptFailure || strings.Contains(res.Log, "it ran") {
		t.Errorf("prepare: %s\n%s", res.State, res.Log)
	}
	mustHold(t, "the job's log", res.Log, bad+":2", bad+":3", "gitlab.url", "surprise")

	// run needs no configuration; cleanup says that it could not revoke.
	w.runner = good
	w.runner.RunExec = []string{good.RunExec[0], "--config", bad}
	w.runner.CleanupExec = []string{good.CleanupExec[0], "--config", bad}
	res = w.run(w.payload("honest_production"), w.callAWS())
	if res.State != fakerunner.Success {
		t.Errorf("%s %v\n%s", res.State, res.Err, res.Log)
	}
	mustHold(t, "cleanup's log", res.Cleanup, bad, "surprise")
	if out, code := w.envrole("sweep"); code != 0 {
		t.Errorf("sweep with the mended configuration: %d\n%s", code, out)
	}
	w.settled()
}

func TestAConfigurationThatOthersCanWriteIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o666, 0o602, 0o620} {
		w := newWorld(t, productionRule)
		if err := os.Chmod(w.config, mode); err != nil {
			t.Fatal(err)
		}
		res := w.run(w.payload("honest_production"), "echo it ran")
		if res.State != fakerunner.ScriptFailure || strings.Contains(res.Log, "it ran") || len(w.aws.Calls()) != 0 {
			t.Errorf("%o: %s\n%s", mode, res.State, res.Log)
		}
		mustHold(t, "the job's log", res.Log, w.config)
		if out, code := w.envrole("check"); code == 0 || !strings.Contains(out, "writ") {
			t.Errorf("check: %d\n%s", code, out)
		}
	}
}

// What authors can make large.
func TestLargeVariablesAndScripts(t *testing.T) {
	w := newWorld(t, productionRule)
	big := strings.Repeat("v", 120<<10)
	payload, err := fakerunner.WithVariables(w.payload("honest_production"),
		fakerunner.Variable{Key: "BIG", Value: big}, fakerunner.Variable{Key: "BIG_TOO", Value: big})
	if err != nil {
		t.Fatal(err)
	}
	filler := strings.Repeat(": "+strings.Repeat("x", 1000)+"\n", 1024)
	res := w.run(payload, filler+`echo "${#BIG} ${#BIG_TOO}"; `+w.callAWS())
	if res.State != fakerunner.Success {
		t.Fatalf("%s %v\n%.2000s", res.State, res.Err, res.Log)
	}
	mustHold(t, "the job's log", res.Log, "122880 122880", "the call was allowed")
	w.settled()
}
