package shell

import (
	"fmt"
	"io"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOnlyTheUsersOwnFUSEMountsAreFound(t *testing.T) {
	const info = `36 24 0:31 / / rw shared:1 - ext4 /dev/sda1 rw,user_id=61300
40 36 0:41 / /home/a\040b rw - fuse.sshfs host: rw,user_id=61300,group_id=61300
41 36 0:42 / /home/other rw - fuse.sshfs host: rw,user_id=613001,group_id=61300
42 36 0:43 / /home/group rw - fuse x rw,user_id=0,group_id=61300
43 40 0:44 / /home/a\134b rw shared:3 - fuseblk user_id=61300 rw,allow_other,user_id=61300
a line of rubbish - fuse
`
	if got := fuseOf(info, 61300); !slices.Equal(got, []fuseMount{{43, `/home/a\b`}, {40, "/home/a b"}}) {
		t.Errorf("%v", got)
	}
}

// mountFUSE mounts a file system of the user's whose server is dead.
func mountFUSE(t *testing.T, point string, uid int) {
	t.Helper()
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		missing(t, "FUSE: "+err.Error())
	}
	defer dev.Close()
	_ = os.MkdirAll(point, 0o755) // of one that is mounted already nothing can be asked
	if err := unix.Mount("evil", point, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", dev.Fd(), uid, uid)); err != nil {
		missing(t, "FUSE: "+err.Error())
	}
	t.Cleanup(func() { _ = unix.Unmount(point, unix.MNT_DETACH) })
}

func mountsOf(t *testing.T, uid int) []fuseMount {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return fuseOf(string(b), uid)
}

// An author could otherwise keep all users from ever being clean.
func TestADeadFUSEMountDoesNotKeepTheUser(t *testing.T) {
	pool, job := newPool(t, 1)
	p := startJob(t, job, pool)
	mountFUSE(t, p.Home+"/mnt", p.UID)
	mountFUSE(t, p.Home+"/a b", p.UID)
	mountFUSE(t, p.Home+"/a b", p.UID) // over the first
	if n := len(mountsOf(t, p.UID)); n != 3 {
		t.Errorf("%d are mounted", n)
	}
	if err := New(p).Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(p.JobDir); !os.IsNotExist(err) {
		t.Errorf("left: %v", err)
	}
	if left := mountsOf(t, p.UID); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// Between the look at the mounts and the unmounting a job puts a link in the way.
func TestAMountOfTheHostIsNotUnmountedInAFUSEMountsPlace(t *testing.T) {
	needRoot(t)
	dir := newHomes(t)
	mountFUSE(t, dir+"/way/mnt", poolUID)
	if err := os.MkdirAll(dir+"/host/mnt", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir+"/host/mnt", "tmpfs", 0, ""); err != nil {
		missing(t, "a mount: "+err.Error())
	}
	t.Cleanup(func() { _ = unix.Unmount(dir+"/host/mnt", unix.MNT_DETACH) })
	if err := os.WriteFile(dir+"/host/mnt/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	seen := mountsOf(t, poolUID)
	if len(seen) != 1 {
		t.Fatalf("%v", seen)
	}
	for what, swap := range map[string]func() error{
		"a link":     func() error { return os.Symlink("host", dir+"/way") },
		"the host's": func() error { return os.Rename(dir+"/host", dir+"/way") },
		"not there":  func() error { return nil },
	} {
		if err := os.Rename(dir+"/way", dir+"/moved"); err != nil {
			t.Fatal(err)
		}
		if err := swap(); err != nil {
			t.Fatal(err)
		}
		if err := seen[0].detach(); err == nil {
			t.Errorf("%s: no error", what)
		}
		if what == "the host's" {
			_ = os.Rename(dir+"/way", dir+"/host")
		}
		if _, err := os.Stat(dir + "/host/mnt/file"); err != nil {
			t.Errorf("%s: the host's mount is gone: %v", what, err)
		}
		_ = os.Remove(dir + "/way")
		if err := os.Rename(dir+"/moved", dir+"/way"); err != nil {
			t.Fatal(err)
		}
	}
	if err := detachFUSE(poolUID); err != nil || len(mountsOf(t, poolUID)) > 0 {
		t.Errorf("%v, %v", err, mountsOf(t, poolUID))
	}
}
