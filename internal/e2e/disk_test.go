package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"envrole/internal/fakeaws"
	"envrole/internal/fakerunner"
	"envrole/roles/lease"
)

// disk is a small file system of its own.
type disk struct {
	t    *testing.T
	path string
}

// newDisk mounts one at path. It needs root.
func newDisk(t *testing.T, path string) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: not root, no file system can be mounted; full disks were not tested")
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	d := &disk{t: t, path: path}
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "size=512k,mode=0700"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a file system: %v", err)
		}
		t.Skipf("SKIPPED: cannot mount a file system (%v); full disks were not tested", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(path, syscall.MNT_DETACH) })
	return d
}

func (d *disk) filler() string { return filepath.Join(d.path, "filler") }

// fill leaves no block free.
func (d *disk) fill() {
	d.t.Helper()
	f, err := os.Create(d.filler())
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		d.t.Fatal(err)
	}
}

func (d *disk) free() {
	d.t.Helper()
	if err := os.Remove(d.filler()); err != nil {
		d.t.Fatal(err)
	}
}

// readOnly remounts it read-only, as the kernel does after an error, or back.
func (d *disk) readOnly(on bool) {
	d.t.Helper()
	var flags uintptr = syscall.MS_REMOUNT
	if on {
		flags |= syscall.MS_RDONLY
	}
	if err := syscall.Mount("tmpfs", d.path, "tmpfs", flags, "size=512k,mode=0700"); err != nil {
		d.t.Fatal(err)
	}
}

// broken are the ways in which a state directory takes no more.
var broken = []struct {
	name        string
	spoil       func(*disk)
	mend        func(*disk)
	says, helps string
}{
	{"full", (*disk).fill, (*disk).free, "no space left on device", "free some space"},
	{"read-only", func(d *disk) { d.readOnly(true) }, func(d *disk) { d.readOnly(false) }, "read-only file system", "read-only"},
}

// Whether the directory was used before or not: nobody is asked for a session
// that could not be written down.
func TestABrokenStateDirectoryFailsPrepareBeforeSTS(t *testing.T) {
	for _, b := range broken {
		for _, used := range []bool{false, true} {
			w := newWorld(t, productionRule)
			d := newDisk(t, w.state)
			asked := 0
			if used {
				if res := w.run(w.payload("honest_production"), "true"); res.State != fakerunner.Success {
					t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
				}
				asked = w.aws.Count("AssumeRole")
			}
			b.spoil(d)
			res := w.run(w.payload("honest_production"), "echo it ran")
			if res.State != fakerunner.SystemFailure || strings.Contains(res.Log, "it ran") {
				t.Errorf("%s, used %v: %s\n%s", b.name, used, res.State, res.Log)
			}
			mustHold(t, "the job's log", res.Log, b.says, b.helps, w.state)
			if n := w.aws.Count("AssumeRole") - asked; n != 0 {
				t.Errorf("%s, used %v: STS was asked %d times", b.name, used, n)
			}
			b.mend(d)
			if res := w.run(w.payload("honest_production"), "true"); res.State != fakerunner.Success {
				t.Errorf("%s, used %v, mended: %s %v\n%s", b.name, used, res.State, res.Err, res.Log)
			}
			w.settled()
		}
	}
}

// The state directory fills while STS answers: the job does not get what could
// not be recorded, and AWS refuses the session after cleanup though the ledger
// could not say so.
func TestTheStateDirectoryFillsWhileSTSAnswers(t *testing.T) {
	w := newWorld(t, productionRule)
	d := newDisk(t, w.state)
	w.aws.Push(fakeaws.Fault{Action: "AssumeRole", Match: "deploy-shop", Delay: time.Second})
	filled := make(chan struct{})
	go func() {
		defer close(filled)
		if _, err := w.aws.WaitFor(t.Context(), func(c fakeaws.Call) bool { return c.Action == "AssumeRole" }); err == nil {
			d.fill()
		}
	}()
	res := w.run(w.payload("honest_production"), "echo it ran")
	<-filled
	if res.State != fakerunner.SystemFailure || strings.Contains(res.Log, "it ran") {
		t.Errorf("%s\n%s", res.State, res.Log)
	}
	mustHold(t, "the job's log", res.Log, "no space left on device")
	mustHold(t, "cleanup's log", res.Cleanup, "no space left on device")
	w.noSecrets("the logs", res.Log+res.Cleanup)
	w.revokedThoughBroken("full")
	d.free()
	w.stillRevokedWhenMended("full")
}

func TestTheStateDirectoryBreaksBeforeCleanup(t *testing.T) {
	for _, b := range broken {
		w := newWorld(t, productionRule)
		d := newDisk(t, w.state)
		w.runner.BeforeCleanup = func() { b.spoil(d) }
		res := w.run(w.payload("honest_production"), "true")
		w.runner.BeforeCleanup = nil
		if res.State != fakerunner.Success {
			t.Errorf("%s: %s\n%s", b.name, res.State, res.Log)
		}
		mustHold(t, "cleanup's log", res.Cleanup, b.says)
		w.revokedThoughBroken(b.name)
		b.mend(d)
		w.stillRevokedWhenMended(b.name)
	}
}

// revokedThoughBroken: IAM needs no disk.
func (w *world) revokedThoughBroken(when string) {
	w.t.Helper()
	if live := w.live(); len(live) != 0 {
		w.t.Errorf("%s: live after cleanup: %v", when, live)
	}
}

// stillRevokedWhenMended: what the ledger could not record is not undone by the
// next job's cleanup, and a sweep brings the ledger up to date.
func (w *world) stillRevokedWhenMended(when string) {
	w.t.Helper()
	if res := w.run(w.payloadAs("honest_production", 5150), "true"); res.State != fakerunner.Success {
		w.t.Errorf("%s, mended: %s %v\n%s", when, res.State, res.Err, res.Log)
	}
	if live := w.live(); len(live) != 0 {
		w.t.Errorf("%s, mended: live after the next job: %v", when, live)
	}
	// The runner lives, so only the job's deadline tells that the job is gone.
	files, _ := filepath.Glob(filepath.Join(w.state, "leases", "*.json"))
	for _, file := range files {
		w.rewriteLease(file, func(le *lease.Lease) { le.Deadline = time.Now().Add(-time.Minute) })
	}
	if out, code := w.envrole("sweep"); code != 0 {
		w.t.Errorf("%s, sweep: %d\n%s", when, code, out)
	}
	w.settled()
}

// A full TMPDIR: the script's exit code cannot be handed over. The runner must
// not take the job for a success, nor for another code than its own.
func TestAFullTempDirDoesNotTurnAFailureIntoASuccess(t *testing.T) {
	w := newWorld(t, productionRule)
	d := newDisk(t, filepath.Join(w.dir, "tmp"))
	w.runner.TempDir = d.path
	res := w.run(w.payload("honest_production"), "dd if=/dev/zero of="+d.filler()+" bs=4096 2>/dev/null; exit 42")
	if res.State == fakerunner.Success || (res.State == fakerunner.ScriptFailure && res.ExitCode != 42) {
		t.Errorf("%s %d\n%s", res.State, res.ExitCode, res.Log)
	}
	if res.State == fakerunner.SystemFailure {
		mustHold(t, "the job's log", res.Log, "no space left on device")
	}
	w.settled()
}
