package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"envrole/internal/fakerunner"
)

// jobUsers makes accounts for one job each.
func jobUsers(t *testing.T, n int) []string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: not root; jobs with users of their own were not tested")
	}
	add, del := realPart(t, "useradd"), realPart(t, "userdel")
	var names []string
	for i := range n {
		name := fmt.Sprintf("envrole-e2e-%d-%d", os.Getpid(), i)
		if out, err := exec.Command(add, "--system", "--no-create-home", "--home-dir", "/nonexistent", name).CombinedOutput(); err != nil {
			t.Fatalf("useradd: %v\n%s", err, out)
		}
		t.Cleanup(func() {
			if out, err := exec.Command(del, name).CombinedOutput(); err != nil {
				t.Errorf("userdel: %v\n%s", err, out)
			}
		})
		names = append(names, name)
	}
	return names
}

// usersWorld is a world whose jobs each have a user for themselves.
func usersWorld(t *testing.T, names []string, more string) *world {
	t.Helper()
	w := newWorld(t, productionRule)
	homes, err := os.MkdirTemp("/var/lib", "envrole-e2e-homes-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if left, _ := filepath.Glob(homes + "/*"); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		_ = os.RemoveAll(homes)
	})
	if err := os.Chmod(homes, 0o711); err != nil {
		t.Fatal(err)
	}
	w.replaceConfig(`same_user = "trusted"`, fmt.Sprintf("users = [\"%s\"]\nhomes_dir = %q\n%s", strings.Join(names, `", "`), homes, more))
	for _, key := range []string{"builds", "cache"} {
		w.replaceConfig(fmt.Sprintf("%s_dir = %q\n", key, filepath.Join(w.dir, key)), "")
	}
	for _, dir := range []string{w.dir, filepath.Dir(w.dir)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// freeUsers fails if the state directory says that a job still has a user.
func (w *world) freeUsers() {
	w.t.Helper()
	if left, _ := filepath.Glob(filepath.Join(w.state, "users", "*.json")); len(left) > 0 {
		w.t.Errorf("still taken: %v", left)
	}
}

// gateForUsers is a gate that jobs of other users reach, isolated ones too: it
// does not lie in /tmp, which they do not see.
func gateForUsers(w *world, name string) *gate {
	w.t.Helper()
	dir, err := os.MkdirTemp("/var/lib", "envrole-e2e-gate-")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	g := &gate{t: w.t, path: filepath.Join(dir, name), came: filepath.Join(dir, name+".came")}
	if err := errors.Join(syscall.Mkfifo(g.path, 0o600), os.Mkdir(g.came, 0o700)); err != nil {
		w.t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(g.path, 0o777), os.Chmod(g.came, 0o777)); err != nil {
		w.t.Fatal(err)
	}
	return g
}

// Each of three jobs at once has a user, a home and a session of its own.
func TestJobsThatRunAtOnceHaveUsersOfTheirOwn(t *testing.T) {
	for _, more := range []string{"", `isolation = "namespaces"`} {
		t.Run(more, func(t *testing.T) {
			const n = 3
			names := jobUsers(t, n)
			w := usersWorld(t, names, more)
			g := gateForUsers(w, "all")
			logs := make([]fakerunner.Result, n)
			var wg sync.WaitGroup
			for i := range n {
				payload := w.payloadAs("honest_production", int64(7000+i))
				script := g.wait(i) + "\n" + `echo "as $(id -un) key $AWS_ACCESS_KEY_ID home $HOME tmp $TMPDIR in $PWD"; ls -A $HOME $TMPDIR | grep mine || true; echo x > $HOME/mine; echo x > $TMPDIR/mine; 
for d in ` + filepath.Dir(w.state) + `/state; do if ls $d >/dev/null 2>&1; then echo BROKE OUT; fi; done; setsid sleep 307 >/dev/null 2>&1 & true`
				wg.Go(func() {
					logs[i] = w.runner.Run(t.Context(), fakerunner.Job{Payload: payload, SubStages: []fakerunner.SubStage{
						{Name: "get_sources", Script: `mkdir -p "$HOME/x" && echo "sources as $(id -un), key ${AWS_ACCESS_KEY_ID:-none}"`},
						{Name: "build_script", Script: script},
						{Name: "after_script", Script: `test -e "$HOME/mine" && test -e "$TMPDIR/mine" && echo "still there"`},
					}})
				})
			}
			eventually(t, "all run", func() bool { return g.waiting() == n })
			g.open()
			wg.Wait()
			seen := map[string]bool{}
			for _, res := range logs {
				if res.State != fakerunner.Success || res.Cleanup != "" {
					t.Fatalf("%s %v\n%s\n%s", res.State, res.Err, res.Log, res.Cleanup)
				}
				mustHold(t, "the job's log", res.Log, "key none", "key ASIA", "still there")
				if strings.Contains(res.Log, "\nmine") {
					t.Errorf("not fresh:\n%s", res.Log)
				}
				if strings.Contains(res.Log, "BROKE OUT") {
					t.Errorf("the job's log:\n%s", res.Log)
				}
				for _, name := range names {
					if strings.Contains(res.Log, "as "+name+" key ASIA") {
						if seen[name] {
							t.Errorf("%s was given twice", name)
						}
						seen[name] = true
					}
				}
			}
			if len(seen) != n {
				t.Errorf("users: %v", seen)
			}
			w.freeUsers()
			w.settled()
			w.nothingLeft()
		})
	}
}

// More jobs than users: the runner may try again, and learns why.
func TestAJobWithoutAFreeUserIsASystemFailure(t *testing.T) {
	names := jobUsers(t, 1)
	w := usersWorld(t, names, "")
	g := gateForUsers(w, "one")
	first, second := w.payloadAs("honest_production", 7100), w.payloadAs("honest_production", 7101)
	done := make(chan fakerunner.Result, 1)
	go func() { done <- w.run(first, g.wait(1)) }()
	eventually(t, "the first job runs", func() bool { return g.waiting() == 1 })
	res := w.run(second, "echo it ran")
	if res.State != fakerunner.SystemFailure || strings.Contains(res.Log, "it ran") {
		t.Errorf("%s\n%s", res.State, res.Log)
	}
	mustHold(t, "the job's log", res.Log, "none of the 1", names[0]+" has job 7100", "concurrent")
	if w.aws.Count("AssumeRole") != 1 {
		t.Errorf("%d sessions", w.aws.Count("AssumeRole"))
	}
	g.open()
	if res := <-done; res.State != fakerunner.Success {
		t.Errorf("the first job: %s\n%s", res.State, res.Log)
	}
	// The second one's cleanup has not taken it from the first, and now it is free.
	if res := w.run(second, "echo it ran"); res.State != fakerunner.Success {
		t.Errorf("%s\n%s", res.State, res.Log)
	}
	w.freeUsers()
	w.settled()
}

// The sealed state is lost: cleanup finds the user by the lease.
func TestCleanupWithoutSealedStateFreesTheUser(t *testing.T) {
	names := jobUsers(t, 1)
	w := usersWorld(t, names, `isolation = "namespaces"`)
	w.runner.BeforeCleanup = func() {
		sealed, _ := filepath.Glob(filepath.Join(w.state, "sealed", "*"))
		if len(sealed) != 1 {
			t.Errorf("sealed: %v", sealed)
		}
		for _, path := range sealed {
			_ = os.Remove(path)
		}
	}
	if res := w.run(w.payload("honest_production"), "true"); res.State != fakerunner.Success {
		t.Errorf("%s\n%s\n%s", res.State, res.Log, res.Cleanup)
	}
	w.freeUsers()
}

// The runner, the run stage and cleanup are all gone: a sweep frees the user.
func TestASweepFreesTheUserOfADeadJob(t *testing.T) {
	names := jobUsers(t, 1)
	w := usersWorld(t, names, "")
	w.runner.CleanupExec = []string{"/bin/true"}
	killed := false
	w.runner.BeforeCleanup = func() { killed = true }
	if res := w.run(w.payload("honest_production"), "setsid sleep 308 >/dev/null 2>&1 & touch /tmp/envrole-e2e-litter-$$; true"); res.State != fakerunner.Success || !killed {
		t.Fatalf("%s\n%s", res.State, res.Log)
	}
	out, code := w.envrole("sweep")
	if strings.Contains(out, "is free") {
		t.Errorf("the user of a job whose runner lives was freed (%d):\n%s", code, out)
	}
	// Its lease goes: nothing is written down of the job any more.
	for _, dir := range []string{"leases", "sealed"} {
		files, _ := filepath.Glob(filepath.Join(w.state, dir, "*"))
		for _, path := range files {
			_ = os.Remove(path)
		}
	}
	out, code = w.envrole("sweep")
	if code != 0 || !strings.Contains(out, "user "+names[0]+" is free") {
		t.Errorf("%d\n%s", code, out)
	}
	w.freeUsers()
	if left, _ := filepath.Glob("/tmp/envrole-e2e-litter-*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A killed run stage: the kernel has ended all of it, cleanup the rest.
func TestAKilledRunStageOfAnIsolatedJob(t *testing.T) {
	names := jobUsers(t, 1)
	w := usersWorld(t, names, `isolation = "namespaces"`)
	killed := make(chan error, 1)
	go func() {
		eventually(t, "the script runs", func() bool {
			b, _ := exec.Command("pgrep", "-u", names[0], "-f", "sleep 309").Output()
			return len(b) > 0
		})
		killed <- syscall.Kill(w.stagePID("run"), syscall.SIGKILL)
	}()
	res := w.run(w.payload("honest_production"), "env -i setsid sleep 309 & wait")
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	if res.State != fakerunner.SystemFailure {
		t.Errorf("%s %v\n%s", res.State, res.Err, res.Log)
	}
	u, err := user.Lookup(names[0])
	if err != nil {
		t.Fatal(err)
	}
	if left := processesOf(t, u.Uid); len(left) > 0 {
		t.Errorf("still runs: %q", left)
	}
	w.freeUsers()
	w.settled()
}

// outsideTmp copies programs to where isolated jobs see them too.
func outsideTmp(t *testing.T, programs ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/lib", "envrole-e2e-bin-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range programs {
		b, err := os.ReadFile(filepath.Join(binaries, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The socket of delivery = "profile" lies in the host's /tmp, which an isolated
// job does not see. It is served there all the same.
func TestAnIsolatedJobIsServedByItsProfile(t *testing.T) {
	names := jobUsers(t, 1)
	w := usersWorld(t, names, `isolation = "namespaces"`)
	w.replaceConfig(`name = "production deploys"`, "name = \"production deploys\"\ndelivery = \"profile\"")
	w.runner.RunExec[0] = filepath.Join(outsideTmp(t, "envrole-run", "envrole-prepare"), "envrole-run")
	res := w.run(w.payload("honest_production"), `
test -e `+w.dir+` && echo "NOT ISOLATED"
ask=$(sed -n 's/^credential_process = //p' "$AWS_CONFIG_FILE")
echo "key $($ask | grep -o 'ASIA[A-Z0-9]*') as $(id -un)"
$ask; ls /tmp`)
	if res.State != fakerunner.Success || strings.Contains(res.Log, "NOT ISOLATED") {
		t.Fatalf("%s\n%s", res.State, res.Log)
	}
	made := w.generations()
	mustHold(t, "the job's log", res.Log, "key "+made[0].AccessKeyID+" as "+names[0], `"SecretAccessKey":"[MASKED]"`, "envrole-creds-")
	w.noSecrets("the job's log", res.Log)
	w.freeUsers()
	w.settled()
	w.noSockets()
}

// A job that is refused after its user was taken gives it back.
func TestARefusedJobGivesItsUserBack(t *testing.T) {
	names := jobUsers(t, 1)
	if out, err := exec.Command(realPart(t, "usermod"), "--append", "--groups", "disk", names[0]).CombinedOutput(); err != nil {
		t.Fatalf("usermod: %v\n%s", err, out)
	}
	w := usersWorld(t, names, "")
	res := w.run(w.payload("honest_production"), "echo it ran")
	if res.State != fakerunner.ScriptFailure || strings.Contains(res.Log, "it ran") || w.aws.Count("AssumeRole") != 0 {
		t.Errorf("%s\n%s", res.State, res.Log)
	}
	mustHold(t, "the job's log", res.Log, "can become root by its groups: disk")
	w.freeUsers()
}
