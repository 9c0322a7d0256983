package revoke

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"envrole/roles/fault"
	"envrole/roles/lease"
)

// helperEnv makes the test binary play a cleanup in a process of its own.
const helperEnv = "ENVROLE_REVOKE_TEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		var args []string
		err := json.NewDecoder(os.NewFile(3, "arguments")).Decode(&args)
		if err == nil {
			err = cleanup(args[0], args[1], args[2:])
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func cleanup(dir, url string, ids []string) error {
	l, err := lease.Open(dir)
	if err != nil {
		return err
	}
	r := New(l, func(context.Context, string) (IAM, error) { return wire{url}, nil }, Options{Timeout: 5 * time.Minute})
	_, err = r.Revoke(context.Background(), ids...)
	return err
}

func child(t *testing.T, dir, url string, ids ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), helperEnv+"=1")
	// Arguments come by a pipe, which holds them until the child reads.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(w).Encode(append([]string{dir, url}, ids...)); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	t.Cleanup(func() { _ = r.Close() })
	cmd.ExtraFiles = []*os.File{r}
	return cmd
}

// wire is IAM over loopback HTTP, for the processes of a test.
type wire struct{ url string }

type message struct {
	Role, Policy, Document string
	Names                  []string
	At                     time.Time
	Error                  string
}

func (w wire) call(ctx context.Context, call string, in message) (out message, err error) {
	b, err := json.Marshal(in)
	if err != nil {
		return out, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/"+call, bytes.NewReader(b))
	if err != nil {
		return out, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return out, err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return out, err
	}
	if out.Error != "" {
		err = fault.New(fault.Passing, call, in.Role, errors.New(out.Error), "")
	}
	return out, err
}

func (w wire) PutRolePolicy(ctx context.Context, role, name, doc string) (time.Time, error) {
	out, err := w.call(ctx, "put", message{Role: role, Policy: name, Document: doc})
	return out.At, err
}

func (w wire) DeleteRolePolicy(ctx context.Context, role, name string) error {
	_, err := w.call(ctx, "delete", message{Role: role, Policy: name})
	return err
}

func (w wire) ListRolePolicies(ctx context.Context, role string) ([]string, time.Time, error) {
	out, err := w.call(ctx, "list", message{Role: role})
	return out.Names, out.At, err
}

// serve puts the model on loopback. around may be nil; it gets the real call.
func serve(t *testing.T, c *cloud, around func(call string, do func())) string {
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		var in, out message
		if err := json.NewDecoder(req.Body).Decode(&in); err != nil {
			return
		}
		call := req.URL.Path[1:]
		do := func() {
			var err error
			switch call {
			case "put":
				out.At, err = c.PutRolePolicy(t.Context(), in.Role, in.Policy, in.Document)
			case "delete":
				err = c.DeleteRolePolicy(t.Context(), in.Role, in.Policy)
			case "list":
				out.Names, out.At, err = c.ListRolePolicies(t.Context(), in.Role)
			}
			if err != nil {
				out.Error = err.Error()
			}
		}
		if around == nil {
			do()
		} else {
			around(call, do)
		}
		_ = json.NewEncoder(rw).Encode(out)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// ours is a bench whose ledger real processes can share.
func ours(t *testing.T) *bench {
	b := newBench(t)
	b.now = time.Now()
	b.cloud.now = time.Now
	var err error
	if b.l, err = lease.Open(b.l.Dir()); err != nil {
		t.Fatal(err)
	}
	b.r = New(b.l, b.cloud.connect, Options{})
	return b
}

// slow makes IAM take its time, so that others come to wait.
func slow(_ string, do func()) { time.Sleep(50 * time.Millisecond); do() }

func TestHundredsOfCleanupsCommitAsAGroup(t *testing.T) {
	b := ours(t)
	defer b.check()
	url := serve(t, b.cloud, slow)
	const processes, goroutines = 200, 50
	var leases []lease.Lease
	for range processes + goroutines {
		leases = append(leases, b.lend(roleA, time.Hour))
	}
	neighbour := b.lend(roleA, time.Hour)
	r := New(b.l, func(context.Context, string) (IAM, error) { return wire{url}, nil }, Options{Timeout: 5 * time.Minute})
	var wg sync.WaitGroup
	begin := time.Now()
	for i, le := range leases {
		if i < goroutines {
			wg.Go(func() {
				if rep, err := r.Revoke(t.Context(), le.ID); err != nil || rep.Count(Denied) == 0 {
					t.Errorf("%+v, %v", rep, err)
				}
			})
			continue
		}
		cmd := child(t, b.l.Dir(), url, le.ID)
		wg.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	for _, le := range leases {
		if got := b.get(le.ID); got.State != lease.Denied || !b.cloud.denied(roleA, le.SessionName) {
			t.Errorf("%s is %s", le.ID, got.State)
		}
	}
	if b.cloud.denied(roleA, neighbour.SessionName) {
		t.Error("the neighbour was denied")
	}
	t.Logf("%d cleanups, %d puts, %v", len(leases), b.cloud.puts, time.Since(begin).Round(time.Millisecond))
	if b.cloud.puts > len(leases)/4 {
		t.Errorf("%d puts for %d cleanups is no group", b.cloud.puts, len(leases))
	}
}

func TestWaitersTakeOverAFailure(t *testing.T) {
	b := ours(t)
	b.cloud.fail = func(string, string) (error, error) { return errDenied, nil }
	url := serve(t, b.cloud, slow)
	r := New(b.l, func(context.Context, string) (IAM, error) { return denying{wire{url}}, nil }, Options{Timeout: 5 * time.Minute})
	var leases []lease.Lease
	for range 60 {
		leases = append(leases, b.lend(roleA, time.Hour))
	}
	var wg sync.WaitGroup
	for _, le := range leases {
		wg.Go(func() {
			_, err := r.Revoke(t.Context(), le.ID)
			if fault.ClassOf(err) != fault.Permanent || !errors.Is(err, ErrAccess) || fault.HelpOf(err) != AccessHelp(roleA) {
				t.Errorf("%v, help %q", err, fault.HelpOf(err))
			}
		})
	}
	wg.Wait()
	t.Logf("%d cleanups, %d calls of a denying IAM", len(leases), b.cloud.calls)
	if b.cloud.calls > len(leases)/4 {
		t.Errorf("%d calls of an IAM that denies, for %d cleanups", b.cloud.calls, len(leases))
	}
}

// denying gives the model's refusal its class back, which the wire loses.
type denying struct{ wire }

func (d denying) PutRolePolicy(ctx context.Context, role, name, doc string) (time.Time, error) {
	at, err := d.wire.PutRolePolicy(ctx, role, name, doc)
	if err != nil {
		err = errDenied
	}
	return at, err
}

func TestACleanupKilledAtAnyInstantIsRepairedByASweep(t *testing.T) {
	b := ours(t)
	defer b.check()
	var mu sync.Mutex
	var victim *os.Process
	where := ""
	kill := func(at string) {
		mu.Lock()
		defer mu.Unlock()
		if where == at && victim != nil {
			_ = victim.Kill()
		}
	}
	url := serve(t, b.cloud, func(_ string, do func()) {
		kill("before the put")
		do()
		kill("after the put")
	})
	run := func(at string, after time.Duration, le lease.Lease) {
		t.Helper()
		cmd := child(t, b.l.Dir(), url, le.ID)
		mu.Lock()
		where = at
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		victim = cmd.Process
		mu.Unlock()
		if at == "" {
			time.Sleep(after)
			_ = cmd.Process.Kill()
		}
		_ = cmd.Wait()
	}
	for i := range 40 {
		le := b.fresh(roleA, time.Hour)
		// The runner is long dead.
		le.Owner = lease.Owner{BootID: b.l.Host().BootID, PIDNamespace: b.l.Host().PIDNamespace, PID: os.Getpid(), StartTime: 1}
		b.create(le)
		switch i {
		case 0:
			run("before the put", 0, le)
		case 1:
			run("after the put", 0, le)
		default:
			run("", time.Duration(rand.IntN(40))*time.Millisecond, le)
		}
		died := b.get(le.ID).State
		if died == lease.Denied && !b.cloud.denied(roleA, le.SessionName) {
			t.Errorf("recorded as denied before it was")
		}
		rep, err := b.r.Sweep(b.ctx(), SweepOptions{})
		if got := b.get(le.ID); err != nil || got.State != lease.Denied || !b.cloud.denied(roleA, le.SessionName) || len(rep.Damaged) != 0 {
			t.Errorf("killed while %s: %+v, %v, %+v", died, got, err, rep)
		}
	}
}

// The state directory fills up while jobs run: their sessions end all the same.
func TestAFullDiskDoesNotSaveASession(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k,mode=0700"); err != nil {
		if os.Geteuid() == 0 && os.Getenv("CI") == "true" {
			t.Fatalf("cannot mount a small file system: %v", err)
		}
		t.Skipf("NOT TESTED: needs the right to mount a small file system: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	b.open(dir+"/state", bootID)
	first, le := b.lend(roleA, time.Hour), b.lend(roleA, time.Hour)
	if _, err := b.r.Revoke(b.ctx(), first.ID); err != nil { // the locks exist
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/ballast", bytes.Repeat([]byte{1}, 1<<20), 0o600); err == nil {
		t.Fatal("the disk does not fill")
	}
	rep, err := b.r.Revoke(b.ctx(), le.ID)
	if !errors.Is(err, unix.ENOSPC) || !b.cloud.denied(roleA, le.SessionName) || !b.cloud.denied(roleA, first.SessionName) {
		t.Errorf("%+v, %v, denied: %v", rep, err, b.cloud.denied(roleA, le.SessionName))
	}
	if err := os.Remove(dir + "/ballast"); err != nil {
		t.Fatal(err)
	}
	b.gone[le.Owner.PID] = true
	if rep, err := b.r.Sweep(b.ctx(), SweepOptions{}); err != nil || b.get(le.ID).State != lease.Denied {
		t.Errorf("%+v, %v", rep, err)
	}
	b.check()
}
