package driver

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// session is what a stage gives for a script with a role.
func session() []string {
	return []string{"AWS_ACCESS_KEY_ID=ASIAEXAMPLE", "AWS_SECRET_ACCESS_KEY=se'cret/+", "AWS_REGION=eu-central-1"}
}

// runnerEnv is the environment of a stage, as the runner makes it.
func runnerEnv(dir string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/root", "LANG=C.UTF-8", "ODD=a=b\nc", "EMPTY=", "XAWS_=kept",
		"AWS_ACCESS_KEY_ID=AKIARUNNER", "AWS_SECRET_ACCESS_KEY=runners-own", "AWS_PROFILE=runner", "AWS_=x",
		"ENVROLE_CONFIG=/etc/envrole/config.toml", "ENVROLE_JOB_KEY=key-of-the-job", "ENVROLE_LEASE_ID=lease",
		"TMPDIR=" + dir, "BUILD_FAILURE_EXIT_CODE=1", "SYSTEM_FAILURE_EXIT_CODE=2", "BUILD_EXIT_CODE_FILE=" + dir + "/code",
		"JOB_RESPONSE_FILE=" + dir + "/response.json", "VM_ID=from-job-env",
		"CUSTOM_ENV_AWS_REGION=authors", "CUSTOM_ENV_ENVROLE_JOB_KEY=authors", "CUSTOM_ENV_CI_JOB_NAME=it's $(a) job", "CUSTOM_ENV_X=\xff\xfe",
	}
}

// The same recording driver, bare and wrapped: nothing differs but what the
// documentation names.
func TestTheWrappedDriverSeesWhatTheRunnerGives(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	j := newJob(t)
	path := j.script("script", "#!/usr/bin/env bash\necho hello\n")
	file := filepath.Join(t.TempDir(), "seen")
	driver := func(stage string) []string { return []string{self, "recording-driver", file, stage} }
	j.plan.Prepare, j.plan.Run, j.plan.Cleanup = driver("prepare"), driver("run me"), driver("")
	j.plan.PassAWS = []string{"AWS_PROFILE"}
	for _, tc := range []struct {
		stage, argv []string
		bare        []string
	}{
		{stage: []string{"prepare"}, bare: j.plan.Prepare},
		{stage: []string{"run", path, "get_sources"}, bare: append(driver("run me"), path, "get_sources")},
		{stage: []string{"cleanup"}, bare: j.plan.Cleanup},
	} {
		bare := exec.Command(tc.bare[0], tc.bare[1:]...)
		bare.Dir, bare.Env = j.dir, runnerEnv(j.dir)
		if out, err := bare.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		want := record(t, file)
		cmd := j.stage(tc.stage...)
		cmd.Env = runnerEnv(j.dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		got := record(t, file)
		if got.Group != cmd.Process.Pid {
			t.Errorf("%v: process group %d, the stage's is %d", tc.stage, got.Group, cmd.Process.Pid)
		}
		got.Group, want.Group = 0, 0
		want.Env = slices.DeleteFunc(want.Env, func(kv string) bool {
			return strings.HasPrefix(kv, "ENVROLE_") || strings.HasPrefix(kv, "AWS_") && !strings.HasPrefix(kv, "AWS_PROFILE=")
		})
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%v: the wrapped driver saw\n%+v\nand bare it sees\n%+v", tc.stage, got, want)
		}
		if got.Stdin != "/dev/null" || got.Dir != j.dir {
			t.Errorf("%v: stdin %s, directory %s", tc.stage, got.Stdin, got.Dir)
		}
	}
}

func TestASessionReachesTheDriverInTheWayThatInjectNames(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	inEnv := []string{
		"AWS_ACCESS_KEY_ID=ASIAEXAMPLE", "AWS_SECRET_ACCESS_KEY=se'cret/+", "AWS_REGION=eu-central-1",
		"CUSTOM_ENV_AWS_ACCESS_KEY_ID=ASIAEXAMPLE", "CUSTOM_ENV_AWS_SECRET_ACCESS_KEY=se'cret/+", "CUSTOM_ENV_AWS_REGION=eu-central-1",
	}
	for _, inject := range []string{InjectScript, InjectEnv, InjectBoth} {
		j := newJob(t)
		j.plan.Inject = inject
		const text = "#!/usr/bin/env bash\nset -eo pipefail\necho hello"
		path := j.script("script", text)
		file := filepath.Join(t.TempDir(), "seen")
		j.plan.Run = []string{self, "recording-driver", file, "run"}
		cmd := j.stage(append([]string{"run", path, "build_script"}, session()...)...)
		cmd.Env = runnerEnv(j.dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", inject, err, out)
		}
		got := record(t, file)
		for _, kv := range inEnv {
			if slices.Contains(got.Env, kv) != (inject != InjectScript) {
				t.Errorf("%s: environment %v", inject, got.Env)
			}
		}
		if strings.Contains(strings.Join(got.Args, " "), "cret") {
			t.Errorf("%s: a secret in the arguments", inject)
		}
		switch {
		case inject == InjectEnv && (got.Args[1] != path || got.Script != text):
			t.Errorf("%s: %v", inject, got.Args)
		case inject != InjectEnv:
			if got.Args[1] == path || filepath.Base(got.Args[1]) != "script" || got.Args[2] != "build_script" || got.Mode != "-rwx------" || got.DirMode != "drwx------" {
				t.Errorf("%s: %+v", inject, got)
			}
			head, rest, _ := strings.Cut(got.Script, "\n")
			if head != "#!/usr/bin/env bash" || !strings.HasSuffix(rest, "\nset -eo pipefail\necho hello") || !strings.Contains(rest, `export AWS_SECRET_ACCESS_KEY='se'\''cret/+'`) {
				t.Errorf("%s: the copy is\n%s", inject, got.Script)
			}
		}
		j.noCopies()
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Errorf("%s: the runner's own script became %q %v", inject, b, err)
		}
	}
}

// What a wrapped driver puts into its job_env reaches it by the name that it
// gave, with the value that it gave, and changes nothing of ours on the way.
func TestTheWrappedDriversJobEnvComesThrough(t *testing.T) {
	given := map[string]string{
		"VM_ID": "x", "AWS_PROFILE": "drivers", "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "TMPDIR": "/elsewhere", "GODEBUG": "x=1",
		"JOB_RESPONSE_FILE": "/forged", "https_proxy": "http://127.0.0.1:1", "HOME": "", "DRIVER_JOB_ENV_AWS_PROFILE": "twice", "CUSTOM_ENV_Y": "z",
	}
	travels, err := carried(given)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"AWS_PROFILE", "AWS_ENDPOINT_URL", "TMPDIR", "GODEBUG", "JOB_RESPONSE_FILE", "https_proxy", "HOME"} {
		if _, ok := travels[name]; ok {
			t.Errorf("%s would change what EnvRole's own stages do", name)
		}
	}
	if travels["VM_ID"] != "x" {
		t.Errorf("%v", travels)
	}
	own := []string{"AWS_PROFILE=runner", "TMPDIR=/runner", "HOME=/root"}
	for k, v := range travels {
		own = append(own, k+"="+v)
	}
	got := map[string]string{}
	for _, kv := range (Plan{}).environOf(own) {
		k, v, _ := strings.Cut(kv, "=")
		got[k] = v
	}
	if !reflect.DeepEqual(got, given) {
		t.Errorf("got %v, want %v", got, given)
	}
}
