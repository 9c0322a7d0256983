package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"envrole/internal/audit"
	"envrole/internal/fakeaws"
	"envrole/internal/fakerunner"
)

// These tests stop a whole job, as a machine's suspension does, and let it go on
// when its session has ended.

// suspendedIn makes this program a job's tool of one process: the Go SDK calls
// AWS, the job is stopped, and the SDK, which remembers what it was given, calls
// AWS again. The directory is where both sides leave marks; clientAt is the AWS.
// With once instead of a directory there is one call.
const (
	suspendedIn = "ENVROLE_E2E_SUSPENDED"
	once        = "once"
)

func suspendedClient(dir, endpoint string) int {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		fmt.Println("configuration:", err)
		return 1
	}
	for _, when := range []string{"before", "after"} {
		creds, err := cfg.Credentials.Retrieve(ctx)
		if err != nil {
			fmt.Println(when, "no credentials:", err)
			return 1
		}
		if code, err := fakeaws.Probe(ctx, endpoint, creds); err != nil || code != "" {
			fmt.Println(when, "the call failed:", code, err)
			return 1
		}
		fmt.Println(when, "the call was allowed")
		if dir == once {
			return 0
		}
		if when == "before" {
			if err := waitBetween(dir); err != nil {
				fmt.Println(err)
				return 1
			}
		}
	}
	return 0
}

func waitBetween(dir string) error {
	if err := os.WriteFile(filepath.Join(dir, "asleep"), nil, 0o600); err != nil {
		return err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "awake")); err == nil {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}

// processes are the run stage of this world's job and all that came of it.
func (w *world) processes() []int {
	w.t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		w.t.Fatal(err)
	}
	parents := map[int]int{}
	ours := map[int]bool{}
	for _, dir := range all {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if err != nil || len(f) < 2 {
			continue // it ended
		}
		parents[pid], _ = strconv.Atoi(f[1])
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		ours[pid] = strings.Contains(string(line), "envrole-run\x00--config\x00"+w.config+"\x00")
	}
	var out []int
	for pid := range parents {
		for p := pid; p > 1; p = parents[p] {
			if ours[p] {
				out = append(out, pid)
				break
			}
		}
	}
	return out
}

func (w *world) signal(pids []int, sig syscall.Signal) {
	w.t.Helper()
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			w.t.Fatal(err)
		}
	}
}

// suspended runs a job of one script, stops it when the script leaves its mark,
// does what is to be done meanwhile, waits for the end of its sessions, and lets
// it go on.
func (w *world) suspended(script string, meanwhile func()) fakerunner.Result {
	w.t.Helper()
	b := w.begin(scripts(w, script))
	b.until("the script waits", w.mark("asleep").isSet)
	// What starts while the stopping is under way is found by looking again.
	before := -1
	for pids := w.processes(); len(pids) != before; pids = w.processes() {
		w.signal(pids, syscall.SIGSTOP)
		before = len(pids)
	}
	if before < 2 {
		w.t.Fatalf("%d processes were stopped", before)
	}
	meanwhile()
	b.ended()
	w.mark("awake").set()
	w.signal(w.processes(), syscall.SIGCONT)
	return b.result()
}

// suspendedLife is how long the sessions of jobs last that are to be stopped
// before anything is renewed.
const suspendedLife = "30s"

func TestASuspendedJobGoesOnWithAGoodSession(t *testing.T) {
	t.Parallel()
	for _, delivery := range []string{"endpoint", "profile"} {
		t.Run(delivery, func(t *testing.T) {
			t.Parallel()
			w := shortWorld(t, `delivery = "`+delivery+`"`, suspendedLife)
			res := w.suspended(fmt.Sprintf("%s='%s' %s=%s '%s'", suspendedIn, w.dir, clientAt, w.aws.URL(), os.Args[0]), func() {})
			if res.State != fakerunner.Success || !strings.Contains(res.Log, "after the call was allowed") {
				t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
			}
			for _, c := range w.aws.Calls() {
				if c.Status >= 400 {
					t.Errorf("a call failed: %s %d", c.Action, c.Status)
				}
			}
			if n := w.events(audit.Refreshed); n != len(w.generations())-1 || n < 1 {
				t.Errorf("%d renewals in the audit log of %d sessions", n, len(w.generations()))
			}
			w.oneName()
			w.noSecrets("the job's log", res.Log)
			w.settled()
		})
	}
}

// passDeadline makes the job's deadline a moment of the past, as it is after a
// suspension of many hours.
func (w *world) passDeadline() {
	w.t.Helper()
	path := filepath.Join(w.state, "leases", w.leases()[0].ID+".json")
	b, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	var record map[string]json.RawMessage
	if err := json.Unmarshal(b, &record); err != nil {
		w.t.Fatal(err)
	}
	record["deadline"] = json.RawMessage(`"` + time.Now().Add(-time.Minute).UTC().Format(time.RFC3339Nano) + `"`)
	if b, err = json.Marshal(record); err != nil {
		w.t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path+".new", b, 0o600), os.Rename(path+".new", path)); err != nil {
		w.t.Fatal(err)
	}
}

func TestAJobSuspendedPastItsDeadlineGetsNothing(t *testing.T) {
	t.Parallel()
	w := shortWorld(t, `delivery = "endpoint"`, suspendedLife)
	ask := `curl -s -w ' status %{http_code} #\n' -H "Authorization: $AWS_CONTAINER_AUTHORIZATION_TOKEN" "$AWS_CONTAINER_CREDENTIALS_FULL_URI"`
	asked, made := 0, 0
	res := w.suspended(ask+" >/dev/null; touch asleep; mv asleep '"+w.dir+"/asleep'; until [ -e '"+w.dir+"/awake' ]; do sleep 0.05; done; "+ask, func() {
		w.passDeadline()
		asked, made = w.aws.Count("AssumeRole"), len(w.generations())
	})
	if !strings.Contains(res.Log, "status 403") || !strings.Contains(res.Log, `"Message":"credentials are no longer given out: the job's deadline has passed"`) || strings.Contains(res.Log, "SecretAccessKey") {
		t.Errorf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
	if n := w.aws.Count("AssumeRole") - asked; n > 1 { // the revoker
		t.Errorf("STS was asked %d times", n)
	}
	if n := len(w.generations()); n != made {
		t.Errorf("%d sessions, %d of them after the deadline", n, n-made)
	}
	w.settled()
}

// shifted is a command in a time namespace of its own, whose clock is an hour
// ahead of this host's. A machine that slept for an hour is ahead by the clock
// that counts the time since boot, and by no other.
func shifted(t *testing.T, clock string, command []string) []string {
	t.Helper()
	if _, err := exec.LookPath("unshare"); err != nil && os.Getenv("CI") == "true" {
		t.Fatal("unshare of util-linux is missing")
	}
	before := []string{"unshare", "--fork", "-T", "--" + clock, "3600"}
	if out, err := exec.CommandContext(t.Context(), before[0], append(before[1:], "true")...).CombinedOutput(); err != nil {
		// Whether a kernel has them is nothing that can be installed.
		t.Skipf("NOT TESTED: no time namespaces for this user or on this kernel: %v %s", err, out)
	}
	return append(before, command...)
}

// What time a suspension took counts, though the clock that timers go by stood
// still: a session whose end came meanwhile is not given out.
func TestTheTimeOfASuspensionCounts(t *testing.T) {
	for _, tc := range []struct {
		clock, delivery string
		renewals        int
	}{
		{"boottime", "env", 1},
		{"boottime", "endpoint", 1},
		{"boottime", "profile", 1},
		{"monotonic", "env", 0}, // moves with no suspension: it must not count
		{"monotonic", "endpoint", 0},
	} {
		t.Run(tc.clock+" "+tc.delivery, func(t *testing.T) {
			t.Parallel()
			w := shortWorld(t, `delivery = "`+tc.delivery+`"`, "60s")
			w.runner.RunExec = shifted(t, tc.clock, w.runner.RunExec)
			call := clientFor(tc.delivery, w)
			res := w.runner.Run(t.Context(), scripts(w, call, call))
			if res.State != fakerunner.Success || strings.Count(res.Log, "the call was allowed") != 2 {
				t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
			}
			if n := w.events(audit.Refreshed); n != tc.renewals {
				t.Errorf("%d renewals, want %d\n%s", n, tc.renewals, res.Log)
			}
			w.settled()
		})
	}
}

// clientFor is a script's line that makes one call to AWS with what the delivery
// gives.
func clientFor(delivery string, w *world) string {
	if delivery == "env" {
		return w.callAWS()
	}
	return fmt.Sprintf("%s=%s %s=%s '%s'", suspendedIn, once, clientAt, w.aws.URL(), os.Args[0])
}
