package shell

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openSame opens the directory name of dir where no other file system, nor
// another part of this one, is mounted there. A subvolume is no mount.
func openSame(dir int, name string) (*os.File, error) {
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Openat2(dir, name, &unix.OpenHow{
			Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK,
			Resolve: unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_BENEATH,
		})
	})
	switch {
	case err == nil:
		return os.NewFile(uintptr(fd), name), nil
	case errors.Is(err, unix.EXDEV):
		return nil, fmt.Errorf("%s: another file system is mounted there", name)
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM): // Linux before 5.6, or a filter
		var st unix.Stat_t
		if err := unix.Fstat(dir, &st); err != nil {
			return nil, &os.PathError{Op: "look at", Path: name, Err: err}
		}
		return openBelow(dir, name, &st.Dev)
	}
	return nil, &os.PathError{Op: "open", Path: name, Err: err}
}

// openBelow opens the directory name of dir, not through a link, and, where a
// device is given, on that one only.
func openBelow(dir int, name string, device *uint64) (*os.File, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		f.Close()
		return nil, err
	}
	if device != nil && st.Dev != *device {
		f.Close()
		return nil, fmt.Errorf("%s: another file system is mounted there", name)
	}
	return f, nil
}
