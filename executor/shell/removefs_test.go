package shell

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// loopMount is a new file system of a kind, whose root belongs to the user.
func loopMount(t *testing.T, kind string, tools ...string) string {
	t.Helper()
	needRoot(t)
	for _, tool := range append(tools, "mkfs."+kind, "mount") {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, kind+" was not tried: "+err.Error())
		}
	}
	dir := newHomes(t)
	image, point := dir+".img", dir+"-"+kind
	if err := os.Mkdir(point, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(320 << 20); err != nil { // sparse; no less will do
		t.Fatal(err)
	}
	for _, args := range [][]string{{"mkfs." + kind, "-q", image}, {"mount", "-o", "loop", image, point}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("SKIPPED: %s was not tried: %q: %v %s", kind, args, err, out)
		}
	}
	t.Cleanup(func() { _ = unix.Unmount(point, unix.MNT_DETACH) })
	if err := os.Chown(point, poolUID, poolUID); err != nil {
		t.Fatal(err)
	}
	return point
}

// asUserShell runs a script as the user, as its job would.
func asUserShell(t *testing.T, dir, text string) {
	t.Helper()
	cmd := exec.Command("setpriv", "--reuid", itoa(poolUID), "--regid", itoa(poolUID), "--clear-groups", "sh", "-e", "-c", text)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// An author could otherwise keep the user from ever being clean: directories
// between which nothing can be moved.
func TestWhatAFileSystemDoesNotMoveIsRemoved(t *testing.T) {
	for kind, c := range map[string]struct{ tool, script string }{
		"xfs": {"xfs_io", `mkdir -p top/a/b/c top/d; echo > top/a/b/c/file; echo > top/d/file
n=1; for dir in top top/a top/a/b top/a/b/c top/d; do n=$((n+1)); xfs_io -c "chproj $n" -c "chattr +P" $dir; done`},
		"btrfs": {"btrfs", `mkdir top; btrfs subvolume create top/sub; mkdir -p top/sub/a/b; echo > top/sub/a/b/file; btrfs subvolume create top/sub/a/nested
mkdir -p top/sub/a/nested/x; echo > top/sub/a/nested/x/y; btrfs property set top/sub/a/nested ro true; btrfs property set top/sub ro true`},
	} {
		t.Run(kind, func(t *testing.T) {
			point := loopMount(t, kind, c.tool)
			asUserShell(t, point, c.script)
			if err := remove(t, point, "top"); err != nil {
				t.Error(err)
			}
			if left, _ := filepath.Glob(point + "/*"); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// Another part of the same file system, mounted below: it is not the job's.
func TestABindMountIsNotEmptied(t *testing.T) {
	needRoot(t)
	dir := newHomes(t)
	for _, sub := range []string{"top/a/mnt", "kept/below"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount(dir+"/kept", dir+"/top/a/mnt", "", unix.MS_BIND, ""); err != nil {
		missing(t, "a mount: "+err.Error())
	}
	defer func() { _ = unix.Unmount(dir+"/top/a/mnt", unix.MNT_DETACH) }()
	if err := remove(t, dir, "top"); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(dir + "/kept/below"); err != nil {
		t.Errorf("another's files were removed: %v", err)
	}
}
