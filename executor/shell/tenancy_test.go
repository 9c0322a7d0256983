package shell

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"envrole/executor"
	"envrole/roles/fault"
)

func TestAUserThatCannotBeCleanedIsGivenToNobody(t *testing.T) {
	pool, job := newPool(t, 2)
	p := startJob(t, job, pool)
	// What cannot be removed: a mount that the administrator put there.
	point := p.Home + "/mnt"
	if err := os.Mkdir(point, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", point, "tmpfs", 0, ""); err != nil {
		missing(t, "a mount: "+err.Error())
	}
	defer func() { _ = unix.Unmount(point, 0) }()
	if err := os.WriteFile(point+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := New(p).Cleanup(t.Context(), io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "mnt") || !strings.Contains(fault.HelpOf(err), "envrole sweep") {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(point + "/file"); err != nil {
		t.Errorf("another file system was emptied: %v", err)
	}
	mustTake(t, numbered(job, 1), pool, pool[1].name)
	_, err = take(t, numbered(job, 2), pool)
	if err == nil || !strings.Contains(err.Error(), pool[0].name+" is not clean after job 1") {
		t.Errorf("got %v", err)
	}
	var said strings.Builder
	sweepAll := func() error {
		return Base{}.Sweep(t.Context(), executor.Job{StateDir: job.StateDir}, func(string) bool { return true }, &said)
	}
	if err := sweepAll(); err == nil || said.Len() > 0 {
		t.Errorf("swept: %v, %q", err, said.String())
	}
	if err := unix.Unmount(point, 0); err != nil {
		t.Fatal(err)
	}
	if err := sweepAll(); err != nil || !strings.Contains(said.String(), "user "+pool[0].name+" is free: job 1") {
		t.Errorf("swept: %v, %q", err, said.String())
	}
	mustTake(t, numbered(job, 3), pool, pool[0].name)
}

// A cleanup that the runner ends early has not failed: the next one goes on.
func TestACleanupThatIsCutShortLeavesTheRestToTheNext(t *testing.T) {
	pool, job := newPool(t, 1)
	p := startJob(t, job, pool)
	mustRun(t, p, "mkdir -p $HOME/a/b/c")
	b := book{usersPath(job.StateDir)}
	tt, err := b.read(p.User)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.clean(ctx, *tt); err == nil {
		t.Error("it was cleaned all the same")
	}
	if tt, err = b.read(p.User); err != nil || tt == nil || tt.Unclean != "" || tt.Lease != job.LeaseID {
		t.Fatalf("%+v, %v", tt, err)
	}
	tt.Taker.Start++ // its prepare is long over
	if err := b.write(*tt); err != nil {
		t.Fatal(err)
	}
	next := numbered(job, 1)
	next.Alive = func(string) bool { return false }
	mustTake(t, next, pool, p.User)
	if _, err := os.Lstat(p.JobDir); !os.IsNotExist(err) {
		t.Errorf("left: %v", err)
	}
}

func TestASweepFreesTheUsersOfDeadJobsOnly(t *testing.T) {
	pool, job := newPool(t, 3)
	for i := range pool {
		mustTake(t, numbered(job, i), pool, pool[i].name)
	}
	b := book{usersPath(job.StateDir)}
	for _, acc := range pool {
		tt, err := b.read(acc.name)
		if err != nil {
			t.Fatal(err)
		}
		tt.Taker = executor.Process{PID: os.Getpid(), Start: 1}
		if acc.name == pool[2].name {
			tt.Mounts = "mnt:[1]" // another's /tmp
		}
		if err := b.write(*tt); err != nil {
			t.Fatal(err)
		}
	}
	var said strings.Builder
	err := Base{}.Sweep(t.Context(), executor.Job{StateDir: job.StateDir}, func(id string) bool { return id == "lease-0" }, &said)
	if err == nil || !strings.Contains(err.Error(), "other directories") || strings.Count(said.String(), "is free") != 1 {
		t.Errorf("%v, %q", err, said.String())
	}
	for i, free := range []bool{false, true, false} {
		if tt, err := b.read(pool[i].name); err != nil || (tt == nil) != free {
			t.Errorf("%d: %+v, %v", i, tt, err)
		}
	}
	// Nothing was ever lent: nothing to do.
	if err := (Base{}).Sweep(t.Context(), executor.Job{StateDir: t.TempDir()}, nil, &said); err != nil {
		t.Error(err)
	}
}

func TestRecordsThatCannotBeReadKeepTheUser(t *testing.T) {
	for name, text := range map[string]string{
		"damaged": "{", "empty": "", "newer": `{"version":9,"user":"envrole-test-0","uid":61300}`,
		"of another": `{"version":1,"user":"somebody","uid":61300}`, "of root": `{"version":1,"user":"envrole-test-0","uid":0}`,
	} {
		pool, job := newPool(t, 1)
		b, err := openBook(job.StateDir)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(b.path(pool[0].name, ".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := take(t, job, pool); err == nil || !strings.Contains(err.Error(), pool[0].name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNothingIsScouredOfRootOrOutsideOfHomes(t *testing.T) {
	for _, tt := range []tenancy{{UID: 0}, {UID: -1}, {UID: os.Geteuid()}} {
		if err := scour(t.Context(), tt); err == nil {
			t.Errorf("%+v", tt)
		}
	}
	for _, dir := range []string{"/etc", "relative", "/var/lib/x/../../../etc", "/tmp/" + strings.Repeat("g", markerLength)} {
		if err := removeJobDir(t.Context(), dir); err == nil {
			t.Errorf("%s", dir)
		}
	}
}

func TestTheTenancyIsNoSecretAndNothingElse(t *testing.T) {
	pool, job := newPool(t, 1)
	job.PayloadFile = "/secret/payload"
	mustTake(t, job, pool, pool[0].name)
	text, err := os.ReadFile(filepath.Join(usersPath(job.StateDir), pool[0].name+".json"))
	if err != nil || strings.Contains(string(text), "secret") || !json.Valid(text) {
		t.Errorf("%s, %v", text, err)
	}
}
