package driver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	errElsewhere = errors.New("this process sees other directories than the job did (PrivateTmp=, ProtectSystem= or a container)")
	errNotOurs   = errors.New("not as EnvRole made it: it is left alone")
)

// remove removes the copy that a record tells of: one file of that name in a
// directory of exactly this name, both as their stage made them. It is root that
// does this, in a place that a job may have written: no link is followed, nothing
// is removed with what is below it, and a path leads where it led or nowhere.
func (r copyRecord) remove(name string, owner uint32, log io.Writer) error {
	tmp, err := openWithoutLinks(string(r.TempDir))
	if err == nil {
		defer tmp.Close()
		err = removeCopy(tmp, name, string(r.File), owner, log)
	}
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case r.Boot == bootID() && r.Mounts != mounts():
		return fmt.Errorf("%s: %w", r.TempDir, errElsewhere)
	}
	return nil // the runner has removed it, or it was never made
}

func removeCopy(tmp *os.File, name, file string, owner uint32, log io.Writer) error {
	path := filepath.Join(tmp.Name(), name)
	d, err := openAt(tmp, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer d.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(d.Fd()), &st); err != nil {
		return err
	}
	if st.Uid != owner || st.Mode&0o077 != 0 {
		return fmt.Errorf("%s: %w", path, errNotOurs)
	}
	err = unix.Fstatat(int(d.Fd()), file, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFREG || st.Uid != owner:
		return fmt.Errorf("%s: %w", filepath.Join(path, file), errNotOurs)
	default:
		if err := unix.Unlinkat(int(d.Fd()), file, 0); err != nil {
			return fmt.Errorf("remove %s: %w", filepath.Join(path, file), err)
		}
	}
	err = unix.Unlinkat(int(tmp.Fd()), name, unix.AT_REMOVEDIR)
	switch {
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST):
		fmt.Fprintf(log, "removed the script of a dead job from %s; other files are left there\n", path)
	case err != nil:
		return fmt.Errorf("remove %s: %w", path, err)
	default:
		fmt.Fprintf(log, "removed %s, the script copy of a dead job\n", path)
	}
	return nil
}

// openWithoutLinks opens a directory, part by part: a link anywhere on the way
// was not there when the path was written down.
func openWithoutLinks(path string) (*os.File, error) {
	d, err := os.Open("/")
	if err != nil {
		return nil, err
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." {
			continue
		}
		if part == ".." {
			_ = d.Close()
			return nil, errBroken
		}
		next, err := openAt(d, part, unix.O_PATH|unix.O_DIRECTORY)
		_ = d.Close()
		if err != nil {
			return nil, err
		}
		d = next
	}
	return d, nil
}
