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
	if got := fuseOf(info, 61300); !slices.Equal(got, []string{`/home/a\b`, "/home/a b"}) {
		t.Errorf("%q", got)
	}
}

// An author could otherwise keep all users from ever being clean.
func TestADeadFUSEMountDoesNotKeepTheUser(t *testing.T) {
	pool, job := newPool(t, 1)
	p := startJob(t, job, pool)
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skip("SKIPPED: no FUSE on this host, nor for its users: " + err.Error())
	}
	point := p.Home + "/mnt"
	if err := os.Mkdir(point, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("evil", point, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", dev.Fd(), p.UID, p.GID)); err != nil {
		t.Skip("SKIPPED: FUSE cannot be mounted: " + err.Error())
	}
	dev.Close() // its server is dead
	if err := New(p).Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
		_ = unix.Unmount(point, unix.MNT_DETACH)
		t.Fatal(err)
	}
	if _, err := os.Lstat(p.JobDir); !os.IsNotExist(err) {
		t.Errorf("left: %v", err)
	}
}
