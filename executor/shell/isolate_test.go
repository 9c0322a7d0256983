package shell

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"envrole/executor"
)

// newIsolatedPlan is a plan for isolated jobs of another user.
func newIsolatedPlan(t testing.TB) Plan {
	t.Helper()
	needRoot(t)
	p := newPlan(t)
	homes := newHomes(t)
	p.User, p.UID, p.GID, p.Groups, p.SwitchUser = "ci-job", jobUID, jobUID, []int{jobUID}, true
	p.Isolation, p.JobDir = Namespaces, filepath.Join(homes, p.marker())
	p.TmpDir = filepath.Join(p.JobDir, tmpName)
	p.Home = filepath.Join(p.JobDir, homeName)
	p.BuildsDir, p.CacheDir = p.JobDir+"/builds/42/protected", p.JobDir+"/cache/42/protected"
	if err := New(p).Prepare(t.Context(), &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	if err := p.owner().ensureDir(p.Home); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := New(p).Cleanup(context.Background(), &bytes.Buffer{}, &bytes.Buffer{}); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(homes + "/*"); len(left) > 0 {
			t.Errorf("left in homes_dir: %v", left)
		}
	})
	return p
}

// newHomes is a homes_dir that others may pass through. Not below /tmp: that is
// covered in a job's namespaces.
func newHomes(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/lib", "envrole-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "homes")
}

func mustRun(t testing.TB, p Plan, text string, env ...string) string {
	t.Helper()
	out, err := run(t, p, text, env...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

func TestAnIsolatedJobSeesItselfAlone(t *testing.T) {
	p := newIsolatedPlan(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.Chmod(filepath.Dir(secret), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secret, []byte("of the host"), 0o666); err != nil {
		t.Fatal(err)
	}
	hidden := t.TempDir()
	file := filepath.Join(newHomes(t)+"-file", "config.toml")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("for nobody"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.Private = []string{hidden, file, "/no/such/place"}
	other := filepath.Join(filepath.Dir(p.JobDir), strings.Repeat("a", markerLength))
	if err := os.Mkdir(other, 0o777); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(other)
	out := mustRun(t, p, `id -u; echo "$HOME $TMPDIR $PWD"; touch $HOME/a $TMPDIR/b /var/tmp/c /dev/shm/d
ls /tmp /var/tmp /dev/shm; echo "homes $(ls `+filepath.Dir(p.JobDir)+` 2>/dev/null | wc -l)"
echo "numbers $(ls /proc | grep -c '^[0-9]')"; cat /proc/1/comm >/dev/null && echo init is $(tr '\0' ' ' < /proc/1/cmdline)
grep NoNewPrivs /proc/self/status; echo "config: $(cat `+file+`)"; test -e `+other+` || echo other hidden; test -e `+secret+` || echo tmp hidden
echo "processes $(ps -e -o pid= | wc -l)"; sleep 1000 & echo "others $(ps -eo uid= | grep -vc '^ *'$(id -u)'$')"; kill $!`)
	t.Log(out)
	for _, want := range []string{"61234\n" + p.Home + " /tmp /tmp\n", "init is envrole --isolate", "NoNewPrivs:\t1", "config: \n", "other hidden", "tmp hidden"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q", want)
		}
	}
	// homes_dir cannot be listed. In pipes there are the init, the shell, its
	// copy and two programs; of them only the init is not the job's.
	for what, bounds := range map[string][2]int{"homes": {0, 0}, "numbers": {3, 5}, "processes": {3, 5}, "others": {1, 1}} {
		_, rest, _ := strings.Cut(out, "\n"+what+" ")
		line, _, _ := strings.Cut(rest, "\n")
		if n, err := strconv.Atoi(line); err != nil || n < bounds[0] || n > bounds[1] {
			t.Errorf("%s: %q, want %v", what, line, bounds)
		}
	}
	// What lies in /tmp lives as long as the job.
	if out := mustRun(t, p, "ls /tmp /var/tmp /dev/shm $HOME"); !strings.Contains(out, "b\n") || !strings.Contains(out, "c\n") || strings.Contains(out, "d\n") {
		t.Errorf("in the next sub-stage: %q", out)
	}
}

func TestAnIsolatedScriptEndsAsAnyOther(t *testing.T) {
	p := newIsolatedPlan(t)
	for text, code := range map[string]int{"exit 0": 0, "exit 7": 7, "exit 255": 255, "false": 1, "kill -TERM $$; sleep 5": -15, "bash -c 'kill -9 $$'": 137} {
		_, err := run(t, p, text)
		var exit *executor.ExitError
		switch {
		case code == 0 && err != nil, code > 0 && (!errors.As(err, &exit) || exit.Code != code):
			t.Errorf("%s: %v", text, err)
		case code < 0 && (err == nil || !strings.Contains(err.Error(), "signal 15")):
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestNothingOfAnIsolatedScriptIsLeft(t *testing.T) {
	p := newIsolatedPlan(t)
	p.Grace = 300 * time.Millisecond
	for name, escape := range everyEscape(t) {
		t.Run(name, func(t *testing.T) {
			// The pid that the script knows is not the host's.
			out := mustRun(t, p, escape+untilThere+"echo done", "PIDFILE="+p.Home+"/pid")
			if out != "done\n" {
				t.Errorf("%q", out)
			}
			if err := os.Remove(p.Home + "/pid"); err != nil {
				t.Error(err)
			}
			if left, err := processesOf(p.UID); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

func TestTheEndOfTheContextEndsAnIsolatedScript(t *testing.T) {
	p := newIsolatedPlan(t)
	p.Grace = 20 * time.Second
	why := errors.New("the runner said so")
	ctx, cancel := context.WithCancelCause(t.Context())
	out := &watcher{word: "ready", call: func() { cancel(why) }}
	err := New(p).Run(ctx, script(t, "trap 'echo tidied; exit 0' TERM\necho ready\nwhile :; do sleep 0.01; done"), nil, out)
	if !errors.Is(err, why) || !strings.Contains(out.String(), "tidied") {
		t.Errorf("%v, %q", err, out.String())
	}
	if left, err := processesOf(p.UID); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// The kernel ends the namespace with its init, and the init with the run stage.
func TestAKilledRunStageTakesItsNamespaceAlong(t *testing.T) {
	p := newIsolatedPlan(t)
	cmd := helperCommand(t, "run", p, "SHELL_TEST_SCRIPT="+script(t, "setsid sleep 1000 & env -i setsid sleep 1001 & echo ready; wait").Path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if left, _ := processesOf(p.UID); len(left) == 0 {
		t.Error("nothing runs")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "nothing of the user runs", func() bool {
		left, err := processesOf(p.UID)
		return len(left) == 0 && err == nil
	})
}

func TestManyMegabytesOfAnIsolatedScript(t *testing.T) {
	p := newIsolatedPlan(t)
	if out := mustRun(t, p, "head -c 100000000 /dev/zero"); len(out) != 100_000_000 {
		t.Errorf("%d bytes", len(out))
	}
}

func TestASharedDirectoryIsFoundInTheJobsOwnTmp(t *testing.T) {
	p := newIsolatedPlan(t)
	dir, err := os.MkdirTemp("/tmp", "envrole-shared-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(dir+"/socket", []byte("way"), 0o644)); err != nil {
		t.Fatal(err)
	}
	s := script(t, "cat "+dir+"/socket; ls /tmp | wc -l")
	s.Shared = []string{dir}
	var out bytes.Buffer
	if err := New(p).Run(t.Context(), s, nil, &out); err != nil || out.String() != "way1\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	// A job cannot have root mount on a name that it put there.
	mustRun(t, p, "rmdir "+dir+"; ln -s /etc "+dir)
	if err := New(p).Run(t.Context(), s, nil, &out); err == nil {
		t.Error("mounted through the job's link")
	}
}

func TestTheInitDoesNothingForPeople(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(self, isolateArg).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "not for people") {
		t.Errorf("%s, %v", out, err)
	}
	if after, err := os.ReadFile("/proc/self/mountinfo"); err != nil || !bytes.Equal(before, after) {
		t.Error("the host's mounts have changed")
	}
}

// A job may make namespaces of its own; what was covered stays covered there.
func TestWhatIsHiddenCannotBeUncovered(t *testing.T) {
	p := newIsolatedPlan(t)
	hidden := newHomes(t) + "-state"
	if err := errors.Join(os.Mkdir(hidden, 0o755), os.WriteFile(hidden+"/ledger", []byte("needle"), 0o644)); err != nil {
		t.Fatal(err)
	}
	p.Private = []string{hidden}
	out, err := run(t, p, `unshare --user --map-root-user --mount true 2>/dev/null || { echo no user namespaces; exit 0; }
unshare --user --map-root-user --mount --pid --fork bash -c '
for d in `+hidden+` `+filepath.Dir(p.JobDir)+` /tmp /proc; do umount $d && echo UNCOVERED $d; umount -l $d && echo UNCOVERED $d; done
mkdir -p $HOME/x; mount --bind `+filepath.Dir(hidden)+` $HOME/x && echo UNCOVERED bind; mount --rbind / $HOME/x && cat $HOME/x`+hidden+`/ledger
mount -o remount,rw,mode=777 `+hidden+` && echo UNCOVERED remount; cat `+hidden+`/ledger' 2>/dev/null; echo tried`)
	if err != nil || strings.Contains(out, "UNCOVERED") || strings.Contains(out, "needle") || !strings.Contains(out, "tried") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Of the init's files the job gets its script alone, of its environment nothing
// but what the base builds.
func TestAnIsolatedJobInheritsNothingOfTheInit(t *testing.T) {
	p := newIsolatedPlan(t)
	t.Setenv("RUNNER_SECRET", "needle")
	out := mustRun(t, p, "ls -l /proc/$$/fd; echo; env; cat /proc/1/environ 2>&1; grep Cap /proc/$$/status", "GIVEN=value")
	if strings.Contains(out, "needle") || !strings.Contains(out, "GIVEN=value") || !strings.Contains(out, "CapEff:\t0000000000000000") || !strings.Contains(out, "CapPrm:\t0000000000000000") {
		t.Errorf("%s", out)
	}
	files, _, _ := strings.Cut(out, "\n\n")
	for _, line := range strings.Split(files, "\n")[1:] {
		left, target, _ := strings.Cut(line, " -> ")
		switch n := left[strings.LastIndex(left, " ")+1:]; {
		case n == "0" && target == "/dev/null", (n == "1" || n == "2") && strings.HasPrefix(target, "pipe:"), (n == "3" || n == "255") && strings.HasPrefix(target, "/memfd:script"):
		default:
			t.Errorf("open: %s", line)
		}
	}
	if e := New(p); e.Guarantee() != "pid namespace" {
		t.Errorf("the guarantee is %q", e.Guarantee())
	}
}
