package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"envrole/executor"
	"envrole/roles/fault"
)

// poolUID is the first of the users of these tests; nobody else has them.
const poolUID = 61300

// newPool is n users, and a job for them with a state directory of its own.
func newPool(t testing.TB, n int) ([]account, executor.Job) {
	t.Helper()
	needRoot(t)
	var pool []account
	for i := range n {
		pool = append(pool, account{name: fmt.Sprintf("envrole-test-%d", i), uid: poolUID + i, gid: poolUID + i, home: "/nonexistent"})
	}
	return pool, executor.Job{LeaseID: "lease-0", JobID: 1, StateDir: t.TempDir(), Deadline: time.Now().Add(time.Hour)}
}

func take(t testing.TB, job executor.Job, pool []account) (account, error) {
	t.Helper()
	return takeUser(t.Context(), job, pool, "")
}

func mustTake(t testing.TB, job executor.Job, pool []account, name string) {
	t.Helper()
	who, err := take(t, job, pool)
	if err != nil || who.name != name {
		t.Fatalf("got %q, want %q: %v", who.name, name, err)
	}
}

// numbered is the job with another id.
func numbered(job executor.Job, n int) executor.Job {
	job.LeaseID, job.JobID = fmt.Sprintf("lease-%d", n), int64(1000+n)
	return job
}

// leasedPlan is the plan of a job that has the user.
func leasedPlan(t testing.TB, job executor.Job, who account) Plan {
	t.Helper()
	b, err := findShell("bash")
	if err != nil {
		t.Fatal(err)
	}
	p := Plan{
		Shell: b, User: who.name, UID: who.uid, GID: who.gid, SwitchUser: true, Leased: true, StateDir: job.StateDir, LeaseID: job.LeaseID,
		Grace: 2 * time.Second,
	}
	p.JobDir = filepath.Join(newHomes(t), p.marker())
	p.Home, p.TmpDir = p.JobDir+"/home", p.JobDir+"/tmp"
	p.BuildsDir, p.CacheDir = p.JobDir+"/builds/1/protected", p.JobDir+"/cache/1/protected"
	return p
}

// startJob takes a user, prepares, and cleans up at the end of the test.
func startJob(t testing.TB, job executor.Job, pool []account) Plan {
	t.Helper()
	p := leasedPlan(t, job, account{})
	who, err := takeUser(t.Context(), job, pool, p.JobDir)
	if err != nil {
		t.Fatal(err)
	}
	p.User, p.UID, p.GID = who.name, who.uid, who.gid
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

func TestTwoHundredJobsForEightUsers(t *testing.T) {
	pool, job := newPool(t, 8)
	var mu sync.Mutex
	got := map[string]int{}
	refused := 0
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			who, err := takeUser(context.Background(), numbered(job, i), pool, "")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				got[who.name]++
			case fault.ClassOf(err) == fault.Passing && strings.Contains(err.Error(), "none of the 8") && strings.Contains(fault.HelpOf(err), "concurrent"):
				refused++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(got) != 8 || refused != 192 {
		t.Errorf("%v have a user, %d were refused", got, refused)
	}
	for name, n := range got {
		if n != 1 {
			t.Errorf("%s was given to %d jobs", name, n)
		}
	}
	_, err := take(t, numbered(job, 999), pool)
	for i := range 8 {
		tenant, readErr := book{usersPath(job.StateDir)}.read(pool[i].name)
		if readErr != nil || !strings.Contains(err.Error(), fmt.Sprintf("%s has job %d", tenant.User, tenant.JobID)) {
			t.Errorf("%v does not say who has %s (%v)", err, pool[i].name, readErr)
		}
	}
}

func TestAUserIsFreeWhenItsJobIsOver(t *testing.T) {
	alive := func(string) bool { return true }
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	dead := executor.Process{PID: gone.Process.Pid, Start: 1}
	self, _ := readProcess(os.Getpid())
	for name, c := range map[string]struct {
		change func(*tenancy)
		alive  func(string) bool
		free   bool
	}{
		"a living job":                      {func(*tenancy) {}, alive, false},
		"a job that nobody can tell of":     {func(tt *tenancy) { tt.Taker = dead }, nil, false},
		"its runner lives":                  {func(tt *tenancy) { tt.Runner = executor.Process{PID: self.pid, Start: self.start} }, alive, false},
		"its runner is gone":                {func(tt *tenancy) { tt.Runner = dead }, alive, true},
		"its runner's number is reused":     {func(tt *tenancy) { tt.Runner = executor.Process{PID: self.pid, Start: self.start + 1} }, alive, true},
		"process 1 tells nothing":           {func(tt *tenancy) { tt.Runner = executor.Process{PID: 1, Start: 1} }, alive, false},
		"its deadline has passed":           {func(tt *tenancy) { tt.Deadline = time.Now().Add(-time.Second) }, alive, true},
		"another boot":                      {func(tt *tenancy) { tt.Boot = "other" }, alive, true},
		"another pid namespace":             {func(tt *tenancy) { tt.PIDs, tt.Runner = "pid:[1]", dead }, alive, false},
		"not written down yet":              {func(*tenancy) {}, func(string) bool { return false }, false},
		"prepare died before it wrote down": {func(tt *tenancy) { tt.Taker = dead }, func(string) bool { return false }, true},
	} {
		t.Run(name, func(t *testing.T) {
			pool, job := newPool(t, 1)
			mustTake(t, job, pool, pool[0].name)
			b := book{usersPath(job.StateDir)}
			tt, err := b.read(pool[0].name)
			if err != nil {
				t.Fatal(err)
			}
			c.change(tt)
			if err := b.write(*tt); err != nil {
				t.Fatal(err)
			}
			next := numbered(job, 1)
			next.Alive = c.alive
			if _, err := take(t, next, pool); (err == nil) != c.free {
				t.Errorf("free: %v, %v", err == nil, err)
			}
		})
	}
}

// A stage of the job still runs: nobody else gets its user, dead or not.
func TestAUserInUseIsNotGivenAway(t *testing.T) {
	pool, job := newPool(t, 1)
	job.Deadline = time.Now().Add(-time.Second)
	p := startJob(t, job, pool)
	release, err := p.hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := take(t, numbered(job, 1), pool); fault.ClassOf(err) != fault.Passing || !strings.Contains(err.Error(), "in use") && !strings.Contains(err.Error(), "used") {
		t.Errorf("got %v", err)
	}
	release()
	mustTake(t, numbered(job, 1), pool, pool[0].name)
	// From now on it is not the first job's.
	if _, err := run(t, p, "echo it ran"); err == nil || !strings.Contains(err.Error(), "not this job's any more") {
		t.Errorf("ran as a user that another job has: %v", err)
	}
	// Nor does its late cleanup free it.
	if err := New(p).Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
		t.Error(err)
	}
	tt, err := book{usersPath(job.StateDir)}.read(pool[0].name)
	if err != nil || tt == nil || tt.Lease != "lease-1" {
		t.Errorf("%+v, %v", tt, err)
	}
}

// The same of a script that Run has started: Run holds the user, to its end.
func TestTheUserOfARunningScriptIsNotGivenAway(t *testing.T) {
	pool, job := newPool(t, 1)
	job.Deadline = time.Now().Add(-time.Second) // the job counts as dead
	p := startJob(t, job, pool)
	gate := filepath.Join(p.JobDir, "gate")
	if err := unix.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(gate, p.UID, p.GID); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	var once sync.Once
	out := &watcher{word: "ready", call: func() { once.Do(func() { close(ready) }) }}
	done := make(chan error, 1)
	go func() {
		done <- New(p).Run(t.Context(), script(t, "echo ready; read word < "+gate+"; echo $word"), nil, out)
	}()
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("%v %s", err, out.String())
	}
	if _, err := take(t, numbered(job, 1), pool); fault.ClassOf(err) != fault.Passing || !strings.Contains(err.Error(), "used") {
		t.Errorf("the user of a running script: %v", err)
	}
	if err := os.WriteFile(gate, []byte("went on\n"), 0); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil || !strings.Contains(out.String(), "went on") {
		t.Errorf("%v %s", err, out.String())
	}
	mustTake(t, numbered(job, 1), pool, pool[0].name)
}

func TestCleanupFreesTheUserAndMayComeTwice(t *testing.T) {
	pool, job := newPool(t, 1)
	p := startJob(t, job, pool)
	mustRun(t, p, "echo > $HOME/a; echo > $TMPDIR/b")
	for range 2 {
		if err := New(p).Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(p.JobDir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", p.JobDir, err)
		}
	}
	mustTake(t, numbered(job, 1), pool, pool[0].name)
}

// Of a job whose sealed state is lost, the lease's id alone is known.
func TestALostJobsUserIsFoundByItsLease(t *testing.T) {
	pool, job := newPool(t, 3)
	for i := range pool {
		mustTake(t, numbered(job, i), pool, pool[i].name)
	}
	lost := numbered(job, 1)
	lost.Values = values{"users": pool[0].name} // the others are not configured any more
	ex, err := Base{}.Lost(executor.Job{LeaseID: lost.LeaseID, StateDir: job.StateDir, Values: lost.Values})
	if err != nil {
		t.Fatal(err)
	}
	if err := ex.Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	mustTake(t, numbered(job, 9), pool, pool[1].name)
	// One that had no user has nothing to clean.
	ex, err = Base{}.Lost(executor.Job{LeaseID: "lease-77", StateDir: job.StateDir, Values: lost.Values})
	if err != nil {
		t.Fatal(err)
	}
	if err := ex.Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
		t.Error(err)
	}
}

// values is [executor.shell] with texts alone.
type values map[string]string

func (v values) Text(key string) string { return v[key] }
func (v values) Texts(key string) []string {
	if v[key] == "" {
		return nil
	}
	return strings.Fields(v[key])
}
func (v values) Flag(string) bool               { return false }
func (v values) Duration(string) time.Duration  { return 0 }
func (v values) Number(string) int64            { return 0 }
func (v values) Pairs(string) map[string]string { return nil }
func (v values) Given(key string) bool          { return v[key] != "" }

func TestAJobThatIsPreparedAgainKeepsItsUser(t *testing.T) {
	pool, job := newPool(t, 3)
	mustTake(t, numbered(job, 0), pool, pool[0].name)
	mustTake(t, job, pool, pool[0].name) // lease-0 too
	mustTake(t, numbered(job, 1), pool, pool[1].name)
	if err := (book{usersPath(job.StateDir)}).free(pool[0].name); err != nil {
		t.Fatal(err)
	}
	mustTake(t, numbered(job, 1), pool, pool[1].name)
}

// A prepare that is killed at any instant loses no user for ever.
func TestAKilledPrepareLosesNoUser(t *testing.T) {
	pool, job := newPool(t, 1)
	for i := range 12 {
		cmd := helperCommand(t, "take", Plan{}, "SHELL_TEST_STATE="+job.StateDir, fmt.Sprintf("SHELL_TEST_LEASE=%d", i))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 3 * time.Millisecond) // an instant of its life, any
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		next := numbered(job, 100+i)
		next.Alive = func(string) bool { return false }
		mustTake(t, next, pool, pool[0].name)
		if err := (book{usersPath(job.StateDir)}).free(pool[0].name); err != nil {
			t.Fatal(err)
		}
	}
}

// takeForEver is a prepare stage that takes and frees one user until it is killed.
func takeForEver(state, lease string) error {
	who := account{name: "envrole-test-0", uid: poolUID, gid: poolUID, home: "/nonexistent"}
	job := executor.Job{LeaseID: "helper-" + lease, JobID: 5, StateDir: state, Deadline: time.Now().Add(time.Hour), Alive: func(string) bool { return false }}
	for {
		if _, err := takeUser(context.Background(), job, []account{who}, ""); err != nil {
			return err
		}
		if err := (book{usersPath(state)}).free(who.name); err != nil {
			return err
		}
	}
}
