package shell

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

const quietMount = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// mountView makes what an isolated job sees of the host: a /tmp, /var/tmp,
// /dev/shm and /run/lock of its own, only its own processes in /proc, only its
// own directory in homes_dir, and nothing in the private places. It is called
// in a new mount namespace; nothing of it gets out of there.
func (o order) mountView() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("separate the job's mounts: %w", err)
	}
	// All that is shown again is opened before anything is covered.
	own, err := o.open(o.JobDir, filepath.Join(o.JobDir, tmpName), filepath.Join(o.JobDir, varTmpName))
	if err != nil {
		return err
	}
	shared, err := o.open(o.Shared...)
	if err != nil {
		return err
	}
	for _, path := range o.Private {
		if err := hide(path); err != nil {
			return err
		}
	}
	homes := filepath.Dir(o.JobDir)
	if err := cover(homes, "mode=0711"); err != nil {
		return err
	}
	if err := showAgain(own[0], o.JobDir); err != nil {
		return err
	}
	if err := unix.Mount("", homes, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|quietMount, ""); err != nil {
		return fmt.Errorf("close %s: %w", homes, err)
	}
	for i, path := range []string{"/tmp", "/var/tmp"} {
		if err := bind(own[i+1], path); err != nil {
			return err
		}
	}
	for i, path := range o.Shared {
		if filepath.Dir(path) != "/tmp" {
			continue // it is not covered
		}
		if err := showAgain(shared[i], path); err != nil {
			return err
		}
	}
	for _, path := range []string{"/dev/shm", "/run/lock"} {
		if err := cover(path, "mode=1777"); err != nil {
			return err
		}
	}
	if err := mountKernel("mqueue", "/dev/mqueue"); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENODEV) {
		return err
	}
	// The last one: until here /proc/self/fd names what was opened.
	return mountKernel("proc", "/proc")
}

// open opens directories, none of them through a link.
func (o order) open(paths ...string) ([]int, error) {
	var fds []int
	for _, path := range paths {
		fd, err := unix.Open(path, pathOnly|unix.O_DIRECTORY, 0)
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// hide makes a directory empty and a file void; one that is not there is left.
func hide(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("hide: %w", err)
	}
	if info.IsDir() {
		if err := unix.Mount("tmpfs", path, "tmpfs", quietMount|unix.MS_RDONLY, "mode=0,nr_inodes=1"); err != nil {
			return &os.PathError{Op: "hide", Path: path, Err: err}
		}
		return nil
	}
	if err := unix.Mount("/dev/null", path, "", unix.MS_BIND, ""); err != nil {
		return &os.PathError{Op: "hide", Path: path, Err: err}
	}
	return nil
}

// cover puts an empty directory in the place of one, if there is one.
func cover(path, options string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := unix.Mount("tmpfs", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return &os.PathError{Op: "mount a directory of the job's own on", Path: path, Err: err}
	}
	return nil
}

// bind shows an open directory at path.
func bind(fd int, path string) error {
	if err := unix.Mount(fdPath(fd), path, "", unix.MS_BIND, ""); err != nil {
		return &os.PathError{Op: "mount a directory of the job's own on", Path: path, Err: err}
	}
	return nil
}

// showAgain shows an open directory under its own name in one that was covered.
// The name must be new: what is there may be the job's. So it is entered by
// open directories, not by its path.
func showAgain(fd int, path string) error {
	dir, err := unix.Open(filepath.Dir(path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	defer func() { _ = unix.Close(dir) }()
	if err := unix.Mkdirat(dir, filepath.Base(path), 0o700); err != nil {
		return &os.PathError{Op: "make mount point", Path: path, Err: err}
	}
	point, err := unix.Openat(dir, filepath.Base(path), pathOnly|unix.O_DIRECTORY, 0)
	if err != nil {
		return &os.PathError{Op: "open mount point", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(point) }()
	return bind(fd, fdPath(point))
}

func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// mountKernel mounts a file system that shows the namespaces of this process.
func mountKernel(kind, path string) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	if err := unix.Mount(kind, path, kind, quietMount, ""); err != nil {
		return &os.PathError{Op: "mount " + kind + " on", Path: path, Err: err}
	}
	return nil
}
