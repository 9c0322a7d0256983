package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"envrole/internal/fakerunner"
)

// jobUser makes an account for jobs alone.
func jobUser(t *testing.T) *user.User {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: not root; jobs with their own user were not tested")
	}
	add, del := realPart(t, "useradd"), realPart(t, "userdel")
	name := fmt.Sprintf("envrole-e2e-%d", os.Getpid())
	if out, err := exec.Command(add, "--system", "--no-create-home", "--home-dir", filepath.Join("/nonexistent", name), name).CombinedOutput(); err != nil {
		t.Fatalf("useradd: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command(del, name).CombinedOutput(); err != nil {
			t.Errorf("userdel: %v\n%s", err, out)
		}
	})
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// processesOf lists what runs as the user.
func processesOf(t *testing.T, uid string) []string {
	t.Helper()
	var found []string
	files, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err == nil && strings.Contains(string(b), "\nUid:\t"+uid+"\t") && !strings.Contains(string(b), "State:\tZ") {
			found = append(found, strings.SplitN(string(b), "\n", 2)[0]+" "+file)
		}
	}
	return found
}

// A runner that is root gives its jobs a user of their own.
func TestAJobWithItsOwnUser(t *testing.T) {
	u := jobUser(t)
	w := newWorld(t, productionRule)
	w.replaceConfig(`same_user = "trusted"`, fmt.Sprintf("user = %q", u.Username))
	for _, dir := range []string{w.dir, filepath.Dir(w.dir)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	attacks := map[string]string{
		"list the state directory":     "ls " + w.state,
		"read the audit log":           "cat " + w.state + "/audit.jsonl",
		"read the sealed session":      "cat " + w.state + "/sealed/*",
		"read the configuration":       "cat " + w.config,
		"read the stage's environment": `cat /proc/$PPID/environ | tr '\0' '\n' | grep -a ENVROLE_JOB_KEY`,
		"read the runner's":            fmt.Sprintf(`cat /proc/%d/environ | tr '\0' '\n' | grep -a .`, os.Getpid()),
		"read the payload":             "cat " + w.dir + "/custom-executor*/response.json",
		"read a script":                "cat " + w.dir + "/custom-executor*/script*/script",
		"list the runner's files":      "ls " + w.dir + "/custom-executor*/",
		"write the configuration":      "echo >> " + w.config,
		"signal the stage":             "kill -0 $PPID",
	}
	var script strings.Builder
	script.WriteString(`echo "user $(id -un) $(id -u) key $AWS_ACCESS_KEY_ID home $HOME tmp $TMPDIR"; touch "$TMPDIR/mine"` + "\n")
	for what, attack := range attacks {
		fmt.Fprintf(&script, "if ( %s ) >/dev/null 2>&1; then echo \"BROKE OUT: %s\"; fi\n", attack, what)
	}
	leftovers := `setsid sleep 301 & (setsid sh -c 'sleep 302 & exec sleep 303' &) ; env -i setsid sleep 304 & (env -i setsid sh -c 'env -i sleep 305 &' &); echo left`
	var between []string
	w.runner.BeforeCleanup = func() { between = processesOf(t, u.Uid) }
	res := w.runner.Run(t.Context(), fakerunner.Job{Payload: w.payload("honest_production"), SubStages: []fakerunner.SubStage{
		{Name: "get_sources", Script: `echo "sources as $(id -u), key ${AWS_ACCESS_KEY_ID:-none}"; cd ` + w.dir + `/builds/*/protected && mkdir -p src && echo built > src/file`},
		{Name: "build_script", Script: script.String()},
		{Name: "step_leftovers", Script: leftovers},
		{Name: "after_script", Script: `echo "after as $(id -u)"; ps -o stat=,args= -u $(id -u) | grep -v ^Z | grep '[s]leep' && echo 'A SLEEPER LIVES' || true`},
	}})
	if res.State != fakerunner.Success {
		t.Fatalf("%s %v\n%s\n%s", res.State, res.Err, res.Log, res.Cleanup)
	}
	mustHold(t, "the job's log", res.Log, "sources as "+u.Uid+", key none", "user "+u.Username+" "+u.Uid+" key ASIA", "left", "after as "+u.Uid)
	if strings.Contains(res.Log, "BROKE OUT") || strings.Contains(res.Log, "SLEEPER") {
		t.Errorf("the job's log:\n%s", res.Log)
	}
	if len(between) > 0 {
		t.Errorf("after the last script: %v", between)
	}
	if res.Cleanup != "" {
		t.Errorf("cleanup says %s", res.Cleanup)
	}
	if left, _ := filepath.Glob("/tmp/envrole-*/mine"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	w.settled()
	w.nothingLeft()
}

// stagePID is the one process of a stage that works for this world.
func (w *world) stagePID(name string) int {
	w.t.Helper()
	want := strings.Join(w.stage(name), "\x00") + "\x00"
	for _, pid := range descendants(os.Getpid()) {
		if b, err := os.ReadFile("/proc/" + itoa(pid) + "/cmdline"); err == nil && strings.HasPrefix(string(b), want) {
			return pid
		}
	}
	w.t.Errorf("no process of envrole-%s", name)
	return 1 << 30 // nobody
}

// The run stage is killed with its job running: cleanup ends what it left.
func TestCleanupEndsWhatAKilledRunStageLeft(t *testing.T) {
	u := jobUser(t)
	w := newWorld(t, productionRule)
	w.replaceConfig(`same_user = "trusted"`, fmt.Sprintf("user = %q", u.Username))
	for _, dir := range []string{w.dir, filepath.Dir(w.dir)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	g := newGate(w, "gate")
	for _, path := range []string{g.path, g.came} {
		if err := os.Chmod(path, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	killed := make(chan error, 1)
	go func() {
		eventually(t, "the script runs", func() bool { return g.waiting() == 1 })
		killed <- syscall.Kill(w.stagePID("run"), syscall.SIGKILL)
	}()
	res := w.run(w.payload("honest_production"), "env -i setsid sleep 306 & "+g.wait(1))
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	if res.State != fakerunner.SystemFailure {
		t.Errorf("%s %v\n%s", res.State, res.Err, res.Log)
	}
	if left := processesOf(t, u.Uid); len(left) > 0 {
		t.Errorf("after cleanup: %v", left)
	}
	w.settled()
}

// The job's user could change what decides about roles: nothing is lent.
func TestAConfigurationOfTheJobsUserIsRefused(t *testing.T) {
	u := jobUser(t)
	w := newWorld(t, productionRule)
	w.replaceConfig(`same_user = "trusted"`, fmt.Sprintf("user = %q", u.Username))
	if err := os.Chown(w.dir, atoi(u.Uid), -1); err != nil {
		t.Fatal(err)
	}
	res := w.run(w.payload("honest_production"), "echo it ran")
	if res.State != fakerunner.ScriptFailure || strings.Contains(res.Log, "it ran") || w.aws.Count("AssumeRole") != 0 {
		t.Errorf("%s\n%s", res.State, res.Log)
	}
	mustHold(t, "the job's log", res.Log, w.dir)
}
