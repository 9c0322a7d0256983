package lease

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"envrole/roles/fault"
)

func TestTheStateDirectoryIsOnlyOurs(t *testing.T) {
	root := os.Geteuid() == 0
	for name, c := range map[string]struct {
		spoil func(dir string) error
		root  bool // needs root
	}{
		"group may write":       {func(d string) error { return os.Chmod(d, 0o770) }, false},
		"others may write":      {func(d string) error { return os.Chmod(d, 0o707) }, false},
		"leases may be written": {func(d string) error { return os.Chmod(d+"/leases", 0o777) }, false},
		"another's":             {func(d string) error { return os.Chown(d, 54321, -1) }, true},
		"leases are another's":  {func(d string) error { return os.Chown(d+"/leases", 54321, -1) }, true},
		"leases elsewhere": {func(d string) error {
			return errors.Join(os.Remove(d+"/leases"), os.Symlink("/tmp", d+"/leases"))
		}, false},
		"a file": {func(d string) error { return errors.Join(os.RemoveAll(d), os.WriteFile(d, nil, 0o600)) }, false},
	} {
		if c.root && !root {
			continue
		}
		l := open(t)
		if err := c.spoil(l.dir); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(l.dir); err == nil {
			t.Errorf("%s: opened", name)
		} else if fault.ClassOf(err) != fault.Permanent && name != "a file" {
			t.Errorf("%s: %v is not permanent", name, err)
		}
	}
	l := open(t)
	if _, err := Open(l.dir); err != nil {
		t.Errorf("opening again: %v", err)
	}
	if info, err := os.Stat(l.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("state directory: %v, %v", info.Mode(), err)
	}
}

func TestAWriteThatFailsIsSaidAndHarmsNothing(t *testing.T) {
	l := open(t)
	want := create(t, l)
	out, err := child(t, "small", l.dir, want.ID).Output()
	if err != nil || !strings.Contains(string(out), "file too large") {
		t.Errorf("%v, %q", err, out)
	}
	all, damaged, err := l.List(t.Context())
	if err != nil || len(damaged) != 0 || len(all) != 1 || all[0] != want {
		t.Errorf("list = %+v, %+v, %v", all, damaged, err)
	}
	left, err := filepath.Glob(l.path(leasesDir, tempPrefix+"*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// mounted is an empty, small file system of the test's own.
func mounted(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k,mode=0700")
	if err != nil {
		if os.Geteuid() == 0 && os.Getenv("CI") == "true" {
			t.Fatalf("cannot mount a small file system: %v", err)
		}
		t.Skipf("NOT TESTED: needs the right to mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAFullDiskIsNamed(t *testing.T) {
	dir := mounted(t)
	l, err := Open(dir + "/state")
	if err != nil {
		t.Fatal(err)
	}
	want := create(t, l)
	if err := os.WriteFile(dir+"/ballast", bytes.Repeat([]byte{1}, 1<<20), 0o600); err == nil {
		t.Fatal("the disk does not fill")
	}
	err = l.Create(t.Context(), sample())
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(fault.HelpOf(err), "full") {
		t.Errorf("create on a full disk = %v (%s)", err, fault.HelpOf(err))
	}
	if _, err := l.Update(t.Context(), want.ID, func(le *Lease) error { le.State = Lent; return nil }); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("update on a full disk = %v", err)
	}
	if got, err := l.Get(want.ID); err != nil || got != want {
		t.Errorf("the lease became %+v, %v", got, err)
	}
	if err := os.Remove(dir + "/ballast"); err != nil {
		t.Fatal(err)
	}
	if err := l.Create(t.Context(), sample()); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestAReadOnlyDiskIsNamed(t *testing.T) {
	dir := mounted(t)
	l, err := Open(dir + "/state")
	if err != nil {
		t.Fatal(err)
	}
	want := create(t, l)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	again, err := Open(l.dir)
	if err != nil {
		t.Fatalf("a read-only ledger can still be read: %v", err)
	}
	if got, err := again.Get(want.ID); err != nil || got != want {
		t.Errorf("get = %+v, %v", got, err)
	}
	err = again.Create(t.Context(), sample())
	if !errors.Is(err, unix.EROFS) || !strings.Contains(fault.HelpOf(err), "read-only") {
		t.Errorf("create = %v (%s)", err, fault.HelpOf(err))
	}
}

func TestTheWritersNameBelongsToOneBoot(t *testing.T) {
	l := open(t)
	names := make([]string, 8)
	var wg sync.WaitGroup
	for i := range names {
		cmd := child(t, "writer", l.dir)
		wg.Go(func() {
			out, err := cmd.Output()
			if err != nil {
				t.Error(err)
			}
			names[i] = strings.TrimSpace(string(out))
		})
	}
	wg.Wait()
	w, err := l.Writer()
	if err != nil || !ValidWriter(w) {
		t.Fatalf("writer = %q, %v", w, err)
	}
	for _, n := range names {
		if n != w {
			t.Errorf("processes disagree: %q and %q", n, w)
		}
	}
	h := l.host
	h.BootID = "00000000-1111-2222-3333-444444444444"
	clone, err := OpenOn(l.dir, h)
	if err != nil {
		t.Fatal(err)
	}
	other, err := clone.Writer()
	if err != nil || other == w || !ValidWriter(other) {
		t.Errorf("a cloned image writes as %q, %v", other, err)
	}
	if again, err := l.Writer(); err != nil || again != w {
		t.Errorf("the first boot now writes as %q, %v", again, err)
	}
	if err := os.WriteFile(l.path(writersDir, h.BootID), []byte("*"), 0o600); err != nil {
		t.Fatal(err)
	}
	if mended, err := clone.Writer(); err != nil || !ValidWriter(mended) {
		t.Errorf("after damage: %q, %v", mended, err)
	}
	for _, bad := range []string{"", "../x", "A"} {
		h.BootID = bad
		odd, err := OpenOn(l.dir, h)
		if err != nil {
			t.Fatal(err)
		}
		if w, err := odd.Writer(); err == nil {
			t.Errorf("boot id %q gives writer %q", bad, w)
		}
	}
}

func TestSealedBlobsAreReplacedAsAWhole(t *testing.T) {
	l := open(t)
	id := create(t, l).ID
	if _, err := l.ReadSealed(id); !errors.Is(err, ErrNotFound) {
		t.Errorf("read before write = %v", err)
	}
	for _, blob := range []string{"first, and longer", "second"} {
		if err := l.WriteSealed(id, []byte(blob), time.Time{}); err != nil {
			t.Fatal(err)
		}
		if got, err := l.ReadSealed(id); err != nil || string(got) != blob {
			t.Errorf("read = %q, %v", got, err)
		}
	}
	if info, err := os.Stat(l.path(sealedDir, id)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("blob: %v, %v", info, err)
	}
	for range 2 {
		if err := l.RemoveSealed(id); err != nil {
			t.Error(err)
		}
	}
	if err := l.WriteSealed(id, make([]byte, maxSealed+1), time.Time{}); err == nil {
		t.Error("an endless blob was written")
	}
}

// A job that is lent nothing has no lease: only the blob's own time keeps it.
func TestASweepNeverTakesTheBlobOfAJobWithoutALease(t *testing.T) {
	l := open(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := l.Clean(t.Context(), time.Now()); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	for range 300 {
		id := sample().ID
		if err := l.WriteSealed(id, []byte("blob"), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, err := l.ReadSealed(id); err != nil {
			t.Fatalf("gone at once: %v", err)
		}
		if err := l.RemoveSealed(id); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	<-stopped
}

func TestRolesAreRemembered(t *testing.T) {
	l := open(t)
	arn := "arn:aws:iam::111122223333:role/deploy"
	for range 2 {
		if err := l.RememberRole(arn); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(l.roleFile("x", ".arn"), []byte("tampered"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Roles(); err != nil || len(got) != 1 || got[0] != arn {
		t.Errorf("roles = %v, %v", got, err)
	}
	release, ok, err := l.TryLockRole(arn)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if _, again, err := l.TryLockRole(arn); again || err != nil {
		t.Errorf("locked twice: %v, %v", again, err)
	}
	if _, other, err := l.TryLockRole(arn + "2"); !other || err != nil {
		t.Errorf("another role: %v, %v", other, err)
	}
	release()
	if _, again, err := l.TryLockRole(arn); !again || err != nil {
		t.Errorf("after release: %v, %v", again, err)
	}
	for range 2 {
		if err := l.ForgetRole(arn); err != nil {
			t.Error(err)
		}
	}
	if got, err := l.Roles(); err != nil || len(got) != 0 {
		t.Errorf("roles = %v, %v", got, err)
	}
}

func TestMarksHaveHarmlessNames(t *testing.T) {
	l := open(t)
	if err := l.WriteMark("clock", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if b, err := l.ReadMark("clock"); err != nil || string(b) != "x" {
		t.Errorf("%q, %v", b, err)
	}
	for _, bad := range []string{"", "../leases/x", "A", strings.Repeat("a", 33)} {
		if l.WriteMark(bad, nil) == nil {
			t.Errorf("wrote %q", bad)
		}
		if _, err := l.ReadMark(bad); err == nil {
			t.Errorf("read %q", bad)
		}
	}
}

// Every run sub-stage links this package.
func TestTheLedgerLinksNoSDK(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range strings.Fields(string(out)) {
		if !strings.HasPrefix(p, "golang.org/x/sys/") && p != "envrole/roles/fault" && p != "envrole/roles/lease" {
			t.Errorf("links %s", p)
		}
	}
}
