package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"envrole/internal/fakeaws"
	"envrole/internal/fakerunner"
	"envrole/roles/lease"
)

// order is what a runner process is told to do.
type order struct {
	Runner fakerunner.Runner
	Job    fakerunner.Job
}

const orderFile = "ENVROLE_E2E_ORDER"

// TestRunnerProcess is no test: it is the runner, as a process that can be
// killed, when startRunner starts this program again.
func TestRunnerProcess(t *testing.T) {
	file := os.Getenv(orderFile)
	if file == "" {
		return
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var o order
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatal(err)
	}
	res := o.Runner.Run(t.Context(), o.Job)
	if err := os.WriteFile(file+".log", []byte(res.Log+res.Cleanup), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startRunner runs a job under a runner that is a process of its own.
func (w *world) startRunner(job fakerunner.Job) *exec.Cmd {
	w.t.Helper()
	b, err := json.Marshal(order{w.runner, job})
	if err != nil {
		w.t.Fatal(err)
	}
	f, err := os.CreateTemp(w.dir, "order")
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestRunnerProcess$")
	cmd.Env = append(os.Environ(), orderFile+"="+f.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// eventually waits for a condition that another process brings about.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !met() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// settled fails unless every session of the role is dead at AWS and the ledger
// knows each one.
func (w *world) settled() {
	w.t.Helper()
	known := map[string]lease.State{}
	for _, le := range w.leases() {
		known[le.SessionName] = le.State
		if le.State != lease.Denied {
			w.t.Errorf("lease of %s is %s: %s", le.SessionName, le.State, le.LastError)
		}
	}
	for _, s := range w.aws.Sessions() {
		if s.Role != deployRole {
			continue
		}
		if s.Live() {
			w.t.Errorf("session %s is alive", s.Name)
		}
		if _, ok := known[s.Name]; !ok {
			w.t.Errorf("the ledger does not know session %s", s.Name)
		}
	}
	w.nothingSealed()
}

func (w *world) nothingSealed() {
	w.t.Helper()
	if left, _ := filepath.Glob(filepath.Join(w.state, "sealed", "*")); len(left) > 0 {
		w.t.Errorf("sealed state left: %v", left)
	}
}

// A stage dies at a named point, and the runner with it, so that no cleanup
// comes. The next sweep must settle what is left.
func TestAKilledHostIsSettledByTheNextSweep(t *testing.T) {
	for _, point := range []string{"prepare:lease-written", "prepare:sts-answered", "prepare:lease-lent", "prepare:sealed", "cleanup:begun", "cleanup:revoked"} {
		t.Run(point, func(t *testing.T) {
			w := newWorld(t, productionRule)
			stage, name, _ := strings.Cut(point, ":")
			w.runner.StageEnv = map[string][]string{stage: {"ENVROLE_CRASH_AT=" + name}}
			w.runner.SkipCleanup = stage == "prepare"
			cmd := w.startRunner(job(w.payload("honest_production"), "true"))
			if err := cmd.Wait(); err != nil {
				t.Fatal(err)
			}
			if len(w.leases()) != 1 {
				t.Fatalf("leases: %v", w.leases())
			}
			if out, code := w.envrole("sweep"); code != 0 {
				t.Fatalf("sweep: %d\n%s", code, out)
			}
			w.settled()
		})
	}
}

// STS issues the session, prepare is killed before it can read the answer: the
// session is revoked though its credentials were never seen.
func TestASessionWhoseAnswerWasNeverSeenIsRevoked(t *testing.T) {
	w := newWorld(t, productionRule)
	w.aws.Push(fakeaws.Fault{Action: "AssumeRole", DropAfter: true})
	w.runner.StageEnv = map[string][]string{"prepare": {"AWS_MAX_ATTEMPTS=1"}}
	w.runner.SkipCleanup = true
	cmd := w.startRunner(job(w.payload("honest_production"), "true"))
	eventually(t, "STS issues a session", func() bool { return len(w.live()) > 0 })
	killGroup(t, cmd)
	if out, code := w.envrole("sweep"); code != 0 {
		t.Fatalf("sweep: %d\n%s", code, out)
	}
	w.settled()
}

// killGroup kills a runner as the kernel's out-of-memory killer or a power cut
// does: with everything it started.
func killGroup(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	for _, pid := range descendants(cmd.Process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = cmd.Wait()
}

// descendants lists a process and everything below it.
func descendants(pid int) []int {
	out, _ := exec.Command("pgrep", "-P", itoa(pid)).Output()
	pids := []int{pid}
	for field := range strings.FieldsSeq(string(out)) {
		pids = append(pids, descendants(atoi(field))...)
	}
	return pids
}

// The runner is killed while a job's script runs; then the host's next prepare
// settles the lease on its way, and removes the socket that served the script.
func TestARunnerKilledInMidJobIsSettledByTheNextPrepare(t *testing.T) {
	w := newWorld(t, productionRule)
	w.configure(productionRule, "[session]\ndelivery = \"profile\"")
	started := filepath.Join(w.dir, "started")
	cmd := w.startRunner(job(w.payload("honest_production"), "touch "+started+"; sleep 60"))
	eventually(t, "the script starts", func() bool { _, err := os.Stat(started); return err == nil })
	if n := len(w.live()); n != 1 {
		t.Fatalf("%d live sessions, want 1", n)
	}
	if out, _ := w.envrole("sweep"); len(w.live()) != 1 {
		t.Fatalf("a sweep took a running job for gone:\n%s", out)
	}
	killGroup(t, cmd)
	if len(w.sockets()) != 1 {
		t.Fatal("there is no socket to be removed: this tests nothing")
	}
	if res := w.run(w.payload("honest_without_environment"), "true"); res.State != fakerunner.Success {
		t.Fatalf("%s\n%s", res.State, res.Log)
	}
	w.settled()
	w.noSockets()
}

// Only envrole-run is killed: its script must not live on with the session.
func TestAKilledRunStageTakesItsScriptAlong(t *testing.T) {
	w := newWorld(t, productionRule)
	pids := filepath.Join(w.dir, "pids")
	res := w.run(w.payload("honest_production"), "sleep 300 & echo $! $$ > "+pids+"; kill -9 $(ps -o ppid= -p $$); sleep 300")
	if res.State != fakerunner.SystemFailure {
		t.Fatalf("%s\n%s", res.State, res.Log)
	}
	b, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for pid := range strings.FieldsSeq(string(b)) {
		eventually(t, "process "+pid+" ends", func() bool {
			stat, err := os.ReadFile("/proc/" + pid + "/stat")
			return err != nil || bytes.Contains(stat, []byte(") Z "))
		})
	}
	w.settled()
}

// Cleanup hangs in IAM and is killed: the lease says so, and a sweep goes on.
func TestACleanupKilledWhileIAMIsAskedIsSettledByASweep(t *testing.T) {
	w := newWorld(t, productionRule)
	w.aws.Push(fakeaws.Fault{Action: "PutRolePolicy", Hang: true})
	w.runner.StageTimeout, w.runner.GracefulKill = 3*time.Second, time.Second
	res := w.run(w.payload("honest_production"), "true")
	if res.State != fakerunner.Success {
		t.Fatalf("%s\n%s", res.State, res.Log)
	}
	w.aws.ClearFaults()
	if out, code := w.envrole("sweep"); code != 0 {
		t.Fatalf("sweep: %d\n%s", code, out)
	}
	w.settled()
}

func TestCleanupIsSafeTwiceAndWithoutItsEnvironment(t *testing.T) {
	w := newWorld(t, productionRule)
	w.runner.SkipCleanup = true
	res := w.run(w.payload("honest_production"), "true")
	env := append(append([]string{}, w.runner.Environ...), "BUILD_FAILURE_EXIT_CODE=1", "SYSTEM_FAILURE_EXIT_CODE=2", "TMPDIR=", "JOB_RESPONSE_FILE=")
	var full []string
	for k, v := range res.Config.JobEnv {
		full = append(full, k+"="+v)
	}
	clean := func(env []string) string {
		cmd := exec.Command(w.stage("cleanup")[0], w.stage("cleanup")[1:]...)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("cleanup: %v\n%s", err, out)
		}
		return string(out)
	}
	// Without job_env nothing names the lease; its runner (this test) lives.
	clean(env)
	if len(w.live()) != 1 {
		t.Error("a cleanup without job_env took another job's session")
	}
	clean(append(env, full...))
	w.settled()
	clean(append(env, full...))
	clean(env)
	w.settled()
	if n := w.aws.Count("PutRolePolicy"); n != 1 {
		t.Errorf("%d policies written, want 1", n)
	}
}

func TestWhatIAMDoesNotTakeIsVisibleAndTriedAgain(t *testing.T) {
	w := newWorld(t, productionRule)
	w.aws.Push(fakeaws.Fault{Action: "PutRolePolicy", Times: -1, Status: 403, Code: "AccessDenied", Message: "not authorized to perform: iam:PutRolePolicy"})
	res := w.run(w.payload("honest_production"), "true")
	if res.State != fakerunner.Success {
		t.Fatalf("%s\n%s", res.State, res.Log)
	}
	for _, want := range []string{"NOT revoked", "iam:PutRolePolicy", deployRole} {
		if !strings.Contains(res.Cleanup, want) {
			t.Errorf("cleanup does not say %q:\n%s", want, res.Cleanup)
		}
	}
	out, code := w.envrole("leases", "--unrevoked")
	if code != 1 || !strings.Contains(out, "unrevoked") {
		t.Errorf("leases --unrevoked: %d\n%s", code, out)
	}
	w.aws.ClearFaults()
	if out, code := w.envrole("sweep"); code != 0 {
		t.Errorf("sweep: %d\n%s", code, out)
	}
	w.settled()
	if out, code := w.envrole("leases", "--unrevoked"); code != 0 {
		t.Errorf("leases --unrevoked after the sweep: %d\n%s", code, out)
	}
}
