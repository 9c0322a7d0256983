package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"envrole/internal/fakerunner"
)

// recorder writes a driver that notes what each of its calls is given, and then
// does what body says; $stage is the stage's name.
func (w *world) recorder(body string) (driver, notes string) {
	w.t.Helper()
	notes = filepath.Join(w.dir, "notes")
	if err := os.Mkdir(notes, 0o700); err != nil {
		w.t.Fatal(err)
	}
	driver = filepath.Join(w.dir, "recorder")
	text := `#!/bin/bash
file=` + notes + `/$1${3:+-$3}
env -0 > $file.env
printf '%s\0' "$@" > $file.args
pwd > $file.dir
stage=$1
` + body + "\n"
	if err := os.WriteFile(driver, []byte(text), 0o700); err != nil {
		w.t.Fatal(err)
	}
	return driver, notes
}

// noted reads all notes. What differs between two runs of the same job in any
// case is made equal: the runner's temporary directories.
func noted(t *testing.T, notes string) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(notes, "*"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for line := range strings.SplitSeq(string(b), "\x00") {
			for _, mark := range []string{"custom-executor", "/script"} {
				if head, rest, ok := strings.Cut(line, mark); ok {
					line = head + mark + strings.TrimLeft(rest, "0123456789")
				}
			}
			lines = append(lines, line)
		}
		if strings.HasSuffix(file, ".env") {
			slices.Sort(lines)
		}
		all[filepath.Base(file)] = lines
		_ = os.Remove(file)
	}
	return all
}

// A whole job with a driver, and with the same driver wrapped: each of its calls
// is given the same arguments, environment and directory.
func TestADriverSeesTheSameWithAndWithoutEnvRole(t *testing.T) {
	w := newWorld(t, productionRule)
	driver, notes := w.recorder(`case $stage in
config) echo '{"driver":{"name":"rec"},"builds_dir":"/b","cache_dir":"/c","job_env":{"VM":"7","AWS_PROFILE":"of the driver","HTTPS_PROXY":"http://127.0.0.1:9","TMPDIR":"/mine"}}' ;;
run) bash < "$2" ;;
esac`)
	w.runner.Environ = append(w.runner.Environ, "AWS_PAGER=runner", "ODD=a b\nc=d")
	j := job(w.payload("honest_production"), "echo hello")
	j.SubStages = append(j.SubStages, fakerunner.SubStage{Name: "archive_cache", Script: "true"})

	wrapped := w.runner
	w.runner.ConfigExec, w.runner.PrepareExec = []string{driver, "config"}, []string{driver, "prepare"}
	w.runner.RunExec, w.runner.CleanupExec = []string{driver, "run"}, []string{driver, "cleanup"}
	bareResult := w.runner.Run(t.Context(), j)
	want := noted(t, notes)

	w.runner = wrapped
	w.wrap(productionRule, "", driver)
	result := w.runner.Run(t.Context(), j)
	got := noted(t, notes)
	if bareResult.State != fakerunner.Success || result.State != fakerunner.Success || len(want) < 15 {
		t.Fatalf("%v, %v, %d notes\n%s\n%s", bareResult.State, result.State, len(want), bareResult.Log, result.Log)
	}
	for name, lines := range want {
		mine := got[name]
		if strings.HasSuffix(name, ".env") {
			lines = slices.DeleteFunc(lines, func(kv string) bool {
				return strings.HasPrefix(kv, "AWS_") && kv != "AWS_PROFILE=of the driver"
			})
		}
		// A script that gets the session is a copy, in another directory.
		if name == "run-build_script.args" || name == "run-after_script.args" {
			if !strings.Contains(mine[1], "/envrole-script-") || filepath.Base(mine[1]) != "script" {
				t.Errorf("%s: %q", name, mine)
			}
			mine, lines = slices.Delete(mine, 1, 2), slices.Delete(lines, 1, 2)
		}
		if !slices.Equal(mine, lines) {
			t.Errorf("%s:\nwrapped %q\nbare    %q", name, mine, lines)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("further calls: %v", got)
	}
	if c := result.Config; c.Driver.Name != "envrole/driver rec" || c.JobEnv["VM"] != "7" || c.BuildsDir != "/b" || c.CacheDir != "/c" {
		t.Errorf("config: %+v", c)
	}
	w.settled()
}

// pass_env lets the runner's own AWS variables through to the driver alone.
func TestTheDriverGetsTheRunnersAWSOnlyByName(t *testing.T) {
	w := newWorld(t, productionRule)
	driver, notes := w.recorder(`case $stage in run) env -i bash < "$2" ;; esac`)
	w.wrap(productionRule, "", driver)
	w.replaceConfig("base = \"driver\"", "base = \"driver\"\npass_env = [\"AWS_ACCESS_KEY_ID\"]")
	res := w.bare(w.payload("honest_production"), fakerunner.SubStage{Name: "get_sources", Script: "echo ${AWS_ACCESS_KEY_ID:-none}"})
	if res.State != fakerunner.Success || !strings.Contains(res.Log, "none") {
		t.Errorf("%v\n%s", res.Err, res.Log)
	}
	for name, lines := range noted(t, notes) {
		has := func(prefix string) bool {
			return slices.ContainsFunc(lines, func(kv string) bool { return strings.HasPrefix(kv, prefix) })
		}
		if strings.HasSuffix(name, ".env") && (!has("AWS_ACCESS_KEY_ID=") || has("AWS_SECRET_ACCESS_KEY=") || has("ENVROLE_")) {
			t.Errorf("%s: %q", name, lines)
		}
	}
}

// Every exit code of every stage means to the runner what it meant without
// EnvRole, and the driver's cleanup runs each time.
func TestStagesEndAsTheDriverEndsThem(t *testing.T) {
	w := newWorld(t, productionRule)
	id := int64(7000)
	for _, stage := range []string{"config", "prepare", "run"} {
		for _, code := range []int{1, 2, 3} {
			t.Run(stage+strconv.Itoa(code), func(t *testing.T) {
				id++
				w := *w
				w.t = t
				w.dir = t.TempDir()
				w.runner.TempDir = w.dir
				driver, _ := w.recorder(fmt.Sprintf(`test $stage = %s && { echo it fails here >&2; exit %d; }; test $stage = cleanup && echo cleaning up; true`, stage, code))
				w.wrap(productionRule, "", driver)
				w.runner.Attempts = 2
				wrapped := w.runner.Run(t.Context(), job(w.payloadAs("honest_production", id), "true"))
				bare := w.runner
				bare.ConfigExec, bare.PrepareExec = []string{driver, "config"}, []string{driver, "prepare"}
				bare.RunExec, bare.CleanupExec = []string{driver, "run"}, []string{driver, "cleanup"}
				want := bare.Run(t.Context(), job(w.payloadAs("honest_production", id), "true"))
				if wrapped.State != want.State || wrapped.ExitCode != want.ExitCode || wrapped.Attempts != want.Attempts {
					t.Errorf("wrapped %s %d (%d attempts), bare %s %d (%d)\n%s", wrapped.State, wrapped.ExitCode, wrapped.Attempts, want.State, want.ExitCode, want.Attempts, wrapped.Log)
				}
				if n := strings.Count(wrapped.Cleanup, "cleaning up"); n != wrapped.Attempts {
					t.Errorf("cleaned up %d times after %d attempts:\n%s", n, wrapped.Attempts, wrapped.Cleanup)
				}
				if strings.Contains(wrapped.Log, "envrole: failed") || !strings.Contains(wrapped.Log, "it fails here") {
					t.Errorf("log:\n%s", wrapped.Log)
				}
				if live := w.live(); len(live) > 0 {
					t.Errorf("sessions live on: %v", live)
				}
			})
		}
	}
}

// A cleanup of the driver that fails does not keep EnvRole from saying what went
// wrong with the session, and the other way round.
func TestAFailedCleanupOfTheDriverHidesNothing(t *testing.T) {
	w := newWorld(t, productionRule)
	driver, _ := w.recorder(`test $stage = cleanup && { echo cleaning up; exit 3; }; true`)
	w.wrap(productionRule, "", driver)
	w.runner.BeforeCleanup = func() { w.replaceConfig("[aws]", "[aws]\nnonsense = 1") }
	res := w.run(w.payload("honest_production"), "true")
	mustHold(t, "cleanup's log", res.Cleanup, "cleaning up", "nonsense", "exit status 3")
}

// What others may change gets no session; jobs without a role are as before.
func TestADriverThatOthersCouldChangeGetsNoSession(t *testing.T) {
	w := newWorld(t, productionRule)
	driver, _ := w.recorder("true")
	w.wrap(productionRule, "", driver)
	if err := os.Chmod(driver, 0o777); err != nil {
		t.Fatal(err)
	}
	res := w.run(w.payload("honest_production"), "true")
	if res.State != fakerunner.ScriptFailure || w.aws.Count("AssumeRole") != 0 {
		t.Errorf("%s", res.State)
	}
	mustHold(t, "the job's log", res.Log, "envrole: refused: lend a role to jobs of the wrapped driver", driver+" may be written by its group or by everybody")
	if res := w.run(w.payload("honest_without_environment"), "true"); res.State != fakerunner.Success {
		t.Errorf("without a role: %s\n%s", res.State, res.Log)
	}
}

func TestCheckSaysWhatTheDriverBaseCannotSee(t *testing.T) {
	w := newWorld(t, productionRule)
	w.wrap(productionRule, "inject = \"env\"", "/usr/bin/true")
	out, code := w.envrole("check")
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	mustHold(t, "check", out, "what the wrapped driver isolates cannot be seen", "docs/bases.md", "executor.driver.inject: shows the session")
	w.configure(productionRule, "[executor]\nbase = \"driver\"\n[executor.driver]\nprepare_exec = [\"relative\"]\n")
	out, code = w.envrole("check")
	if code == 0 {
		t.Error("a bad table passes")
	}
	mustHold(t, "check", out, "executor.driver.prepare_exec: the program must be an absolute path", "executor.driver.run_exec: missing")
	w.configure(strings.Replace(productionRule, "[[role]]", "[[role]]\ndelivery = \"endpoint\"", 1), "[executor]\nbase = \"driver\"\n[executor.driver]\nrun_exec = [\"/usr/bin/true\"]\n")
	if out, _ = w.envrole("check"); !strings.Contains(out, "endpoint does not work with executor.base = \"driver\"") {
		t.Errorf("delivery:\n%s", out)
	}
}
