package shell

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"envrole/roles/fault"
)

// BuildsDirs gives the builds and the cache directory of a project:
// ROOT/PROJECT ID/protected or ROOT/PROJECT ID/unprotected, so that a job on an
// unprotected ref does not find itself in, nor leave anything in, the work tree
// of a protected one. ROOT is the configured directory, or builds and cache in
// the home of the job's user.
func BuildsDirs(s Settings, home string, projectID int64, refProtected bool) (builds, cache string) {
	kind := "unprotected"
	if refProtected {
		kind = "protected"
	}
	below := func(root, name string) string {
		if root == "" {
			root = filepath.Join(home, name)
		}
		return filepath.Join(root, strconv.FormatInt(projectID, 10), kind)
	}
	return below(s.BuildsDir, "builds"), below(s.CacheDir, "cache")
}

// owner makes directories for a job's user.
type owner struct {
	uid, gid int
	change   bool // this process is root and gives away what it makes
}

const (
	pathOnly = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
	maxLinks = 40 // as the kernel's own limit
)

// ensureDir makes path and what is missing above it, and sees that path belongs
// to the job's user with mode 0700. It walks from the root with open
// directories, and follows a symbolic link only where the job's user can not
// have put it: else a job could have root make, or give it, any directory.
func (o owner) ensureDir(path string) error {
	if !filepath.IsAbs(path) {
		return dirFault(path, errors.New("is not absolute"))
	}
	for range maxLinks {
		next, err := o.walk(filepath.Clean(path))
		if err != nil {
			return dirFault(path, err)
		}
		if next == "" {
			return nil
		}
		path = next
	}
	return dirFault(path, errors.New("too many symbolic links"))
}

// walk goes down path. If it meets a link that may be followed, it returns the
// path with the link replaced.
func (o owner) walk(path string) (next string, err error) {
	dir, err := unix.Open("/", pathOnly|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(dir) }()
	names := strings.Split(strings.Trim(path, "/"), "/")
	for i, name := range names {
		here := "/" + filepath.Join(names[:i+1]...)
		child, err := o.enter(dir, name)
		if err != nil {
			return "", fmt.Errorf("%s: %w", here, err)
		}
		parent := dir
		var st unix.Stat_t
		if err = unix.Fstat(child, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			next, err = o.follow(parent, child, st, filepath.Dir(here), names[i+1:])
		} else if err == nil {
			err = o.accept(child, st, i == len(names)-1)
		}
		dir = child
		_ = unix.Close(parent)
		if err != nil {
			return "", fmt.Errorf("%s: %w", here, err)
		}
		if next != "" {
			return next, nil
		}
	}
	return "", nil
}

// enter opens name in dir without following it; a missing one is made.
func (o owner) enter(dir int, name string) (int, error) {
	child, err := unix.Openat(dir, name, pathOnly, 0)
	if !errors.Is(err, unix.ENOENT) {
		return child, err
	}
	if err := o.create(dir, name); err != nil {
		return -1, err
	}
	return unix.Openat(dir, name, pathOnly, 0)
}

// create makes a directory that has its owner from the moment it has its name:
// another job of the project may be making the same.
func (o owner) create(dir int, name string) error {
	tmp := fmt.Sprintf(".envrole-%s", rand.Text())
	if err := unix.Mkdirat(dir, tmp, 0o700); err != nil {
		return err
	}
	err := o.give(dir, tmp)
	if err == nil {
		err = unix.Renameat2(dir, tmp, dir, name, unix.RENAME_NOREPLACE)
	}
	if err != nil {
		_ = unix.Unlinkat(dir, tmp, unix.AT_REMOVEDIR)
	}
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// give makes the job's user the owner of a directory that was just made. That
// user may have put another one in its place meanwhile: only an empty directory
// of root's is given away.
func (o owner) give(dir int, name string) error {
	if !o.change {
		return nil
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "new directory")
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if _, err := f.Readdirnames(1); int(st.Uid) != os.Geteuid() || !errors.Is(err, io.EOF) {
		return errors.New("was replaced while it was made")
	}
	return f.Chown(o.uid, o.gid)
}

// follow gives the path to go on with after a link. The link must be root's or
// our own, and so must the directory that holds it, which nobody else may write.
func (o owner) follow(parent, link int, st unix.Stat_t, above string, below []string) (string, error) {
	var dir unix.Stat_t
	if err := unix.Fstat(parent, &dir); err != nil {
		return "", err
	}
	if !trusted(st.Uid) || !trusted(dir.Uid) || dir.Mode&0o022 != 0 {
		return "", errors.New("is a symbolic link that the job's user may have put there")
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(link, "", buf)
	if err != nil {
		return "", err
	}
	target := string(buf[:n])
	if !filepath.IsAbs(target) {
		target = filepath.Join(above, target)
	}
	return filepath.Join(append([]string{target}, below...)...), nil
}

// accept checks a directory on the way, and the last one more strictly.
func (o owner) accept(child int, st unix.Stat_t, last bool) error {
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return errors.New("is not a directory")
	case !trusted(st.Uid) && int(st.Uid) != o.uid:
		return fmt.Errorf("belongs to uid %d, who could put anything in its place", st.Uid)
	case st.Mode&0o002 != 0 && st.Mode&unix.S_ISVTX == 0:
		return errors.New("can be written by every user")
	case !last:
		return nil
	case int(st.Uid) != o.uid:
		return fmt.Errorf("belongs to uid %d, not to the job's user (uid %d)", st.Uid, o.uid)
	case st.Mode&0o777 == 0o700:
		return nil
	}
	fd, err := unix.Openat(child, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Fchmod(fd, 0o700)
}

func trusted(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

func dirFault(path string, err error) error {
	return fault.New(fault.Permanent, "make job directory", path, err,
		"Give the directory to root or to the job's user, without symbolic links in what that user may write, or set executor.shell.builds_dir and cache_dir.")
}
