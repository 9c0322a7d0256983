package shell

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	subvolumeInode   = 256        // of the root of each btrfs subvolume
	setSubvolumeFlag = 0x4008941a // BTRFS_IOC_SUBVOL_SETFLAGS
)

// makeWritable lets a btrfs subvolume be emptied that its owner has made
// read-only, as an owner may. rmdir then removes it as any directory.
func makeWritable(d *os.File, st unix.Stat_t) {
	var volume unix.Statfs_t
	if st.Ino != subvolumeInode || unix.Fstatfs(int(d.Fd()), &volume) != nil || volume.Type != unix.BTRFS_SUPER_MAGIC {
		return
	}
	var flags uint64
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, d.Fd(), setSubvolumeFlag, uintptr(unsafe.Pointer(&flags))) //nolint:gosec // the kernel reads the eight bytes; what fails shows when it is emptied
}
