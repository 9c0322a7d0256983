package shell

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"envrole/executor"
)

// helperVariable makes the test binary a run stage, or whatever else a test
// needs as a process of its own.
const helperVariable = "SHELL_TEST_HELPER"

func TestMain(m *testing.M) {
	if code, mine := IsolateMain(os.Args); mine {
		os.Exit(code)
	}
	if ProbeMain(os.Args) {
		return
	}
	if do := os.Getenv(helperVariable); do != "" {
		claimsDir = os.Getenv(claimsVariable)
		if err := helper(do); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		return
	}
	os.Exit(withClaims(m.Run))
}

// claimsVariable tells helpers where these tests have their claims.
const claimsVariable = "SHELL_TEST_CLAIMS"

func withClaims(run func() int) int {
	dir, err := os.MkdirTemp("", "claims")
	if err == nil {
		err = os.Setenv(claimsVariable, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	claimsDir = dir
	defer os.RemoveAll(dir)
	return run()
}

func helper(do string) error {
	var p Plan
	if err := json.Unmarshal([]byte(os.Getenv("SHELL_TEST_PLAN")), &p); err != nil {
		return err
	}
	switch do {
	case "spy":
		return spy(os.Getenv("SHELL_TEST_TARGETS"), os.Getenv("SHELL_TEST_PATHS"))
	case "litter":
		return litter(os.Getenv("SHELL_TEST_DIR"))
	case "addkey":
		return addKey()
	case "key":
		readKey()
		return nil
	case "traced":
		return traced()
	case "fill":
		return fill(os.Getenv("SHELL_TEST_DIR"))
	case "headless":
		return headless(os.Getenv("PIDFILE"))
	case "take":
		return takeForEver(os.Getenv("SHELL_TEST_STATE"), os.Getenv("SHELL_TEST_LEASE"))
	case "run":
		s := executor.Script{Path: os.Getenv("SHELL_TEST_SCRIPT"), SubStage: "build_script"}
		e := New(p)
		if os.Getenv("SHELL_TEST_NO_CGROUP") != "" {
			e = noCgroup(p)
		}
		return e.Run(context.Background(), s, nil, os.Stdout)
	case "metadata":
		l, err := net.Listen("tcp", "169.254.169.254:80")
		if err != nil {
			return err
		}
		defer l.Close()
		reachable, err := ProbeMetadata(context.Background(), p, os.Getenv("SHELL_TEST_STATE"))
		fmt.Printf("reachable=%q\n", reachable)
		return err
	}
	return errors.New("unknown helper " + do)
}

// helperCommand is this binary as a helper with a plan.
func helperCommand(t testing.TB, do string, p Plan, env ...string) *exec.Cmd {
	t.Helper()
	plan, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), append(env, helperVariable+"="+do, "SHELL_TEST_PLAN="+string(plan))...)
	cmd.Stderr = os.Stderr
	return cmd
}

// newPlan is a plan for jobs of this process's own user, below a new directory.
func newPlan(t testing.TB) Plan {
	t.Helper()
	dir := t.TempDir()
	sh, err := findShell("bash")
	if err != nil {
		t.Fatal(err)
	}
	p := Plan{
		Shell: sh, User: "tester", UID: os.Geteuid(), GID: os.Getegid(), Home: dir,
		BuildsDir: filepath.Join(dir, "builds", "42", "protected"), CacheDir: filepath.Join(dir, "cache", "42", "protected"),
		Grace: 5 * time.Second, LeaseID: t.Name() + dir,
	}
	t.Cleanup(func() {
		if err := New(p).Cleanup(context.Background(), io.Discard, io.Discard); err != nil {
			t.Error(err)
		}
	})
	return p
}

// jobUID belongs to nobody on any host we know of.
const jobUID = 61234

// newUserPlan is a plan for jobs of another user, with a home of its own. It
// needs root.
func newUserPlan(t testing.TB) Plan {
	t.Helper()
	needRoot(t)
	p := newPlan(t)
	p.User, p.UID, p.GID, p.Groups, p.SwitchUser = "ci-job", jobUID, jobUID, []int{jobUID, jobUID + 1}, true
	p.TmpDir = filepath.Join("/tmp", "envrole-"+p.marker())
	// t.TempDir and what it makes above are open to others to search.
	if err := os.Chmod(filepath.Dir(p.Home), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(p.Home, jobUID, jobUID); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := New(p).Cleanup(context.Background(), io.Discard, io.Discard); err != nil {
			t.Error(err)
		}
	})
	if err := New(p).Prepare(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	return p
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "jobs of another user can only be tried as root")
	}
}

// bothPlans runs a test as the runner's own user and, for root, as another one.
func bothPlans(t *testing.T, test func(t *testing.T, p Plan)) {
	t.Helper()
	t.Run("same user", func(t *testing.T) { test(t, newPlan(t)) })
	t.Run("other user", func(t *testing.T) { test(t, newUserPlan(t)) })
}

// script writes a script as the runner does: of this process's user, mode 0700,
// below a directory of mode 0700.
func script(t testing.TB, text string) executor.Script {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "runner")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "script.sh")
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return executor.Script{Path: path, SubStage: "build_script"}
}

// noCgroup is an executor as on a host that has no cgroup to give.
func noCgroup(p Plan) *Executor {
	e := New(p)
	e.group = func(string) (*cgroup, error) { return nil, errors.New("none here") }
	return e
}

// onBothHosts runs a test with what the host has, and without cgroups.
func onBothHosts(t *testing.T, p Plan, test func(t *testing.T, e *Executor)) {
	t.Helper()
	t.Run("as it is", func(t *testing.T) { test(t, New(p)) })
	t.Run("no cgroup", func(t *testing.T) { test(t, noCgroup(p)) })
}

func run(t testing.TB, p Plan, text string, env ...string) (string, error) {
	t.Helper()
	return runOn(t, New(p), text, env...)
}

func runOn(t testing.TB, e *Executor, text string, env ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := e.Run(context.Background(), script(t, text), env, &out)
	return out.String(), err
}

// mustEnd waits for a process to end.
func mustEnd(t testing.TB, pid int) {
	t.Helper()
	if pid <= 0 {
		t.Fatalf("pid %d", pid)
	}
	if !lives(pid) {
		return
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 20_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n == 0 {
			t.Errorf("process %d still lives", pid)
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		return
	}
}

func readPID(t testing.TB, path string) int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(b)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func itoa(n int) string { return strconv.Itoa(n) }

// missing skips a test aloud for want of a real part; in CI that is a failure.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("NOT TESTED: " + what)
	}
	t.Skip("SKIPPED: " + what)
}

// eventually waits for what the kernel, or a process, does on its own account.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !met(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}
