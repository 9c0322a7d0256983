package shell

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// WritableBy says how a user could change path or have another file in its
// place, or "" if not. It looks at path, at every directory above it, and, where
// one is a symbolic link, at all of that for its target too. Of a path that does
// not exist yet, what exists above it counts. An access control list that grants
// any writing counts as granting it to this user.
func WritableBy(path string, uid int, groups []int) (why string, err error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("%q is not absolute", path)
	}
	u := accessor{uid: uid, groups: groups}
	return u.walk(filepath.Clean(path), 0)
}

type accessor struct {
	uid    int
	groups []int
}

func (u accessor) walk(path string, links int) (string, error) {
	if links > maxLinks {
		return "", errors.New("too many symbolic links")
	}
	var above unix.Stat_t // of the directory that holds the current name
	names := strings.Split(strings.Trim(path, "/"), "/")
	for i := range len(names) + 1 {
		here := "/" + filepath.Join(names[:i]...)
		var st unix.Stat_t
		err := unix.Lstat(here, &st)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			return u.replaceable(here, above, nil), nil
		}
		if err != nil {
			return "", &os.PathError{Op: "lstat", Path: here, Err: err}
		}
		if i > 0 {
			if why := u.replaceable(here, above, &st); why != "" {
				return why, nil
			}
		}
		if st.Mode&unix.S_IFMT == unix.S_IFLNK {
			target, err := os.Readlink(here)
			if err != nil {
				return "", err
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(here), target)
			}
			return u.walk(filepath.Join(append([]string{target}, names[i:]...)...), links+1)
		}
		if int(st.Uid) == u.uid {
			return here + " belongs to that user", nil
		}
		if i == len(names) && u.mayWrite(here, st) {
			return fmt.Sprintf("%s may be written by that user (mode %04o)", here, st.Mode&0o7777), nil
		}
		above = st
	}
	return "", nil
}

// replaceable says whether the user may put another file in the place of here;
// entry is what is there now, or nil.
func (u accessor) replaceable(here string, above unix.Stat_t, entry *unix.Stat_t) string {
	dir := filepath.Dir(here)
	if !u.mayWrite(dir, above) {
		return ""
	}
	if above.Mode&unix.S_ISVTX != 0 && entry != nil && int(entry.Uid) != u.uid {
		return "" // sticky: only its owner may remove or rename it
	}
	return fmt.Sprintf("directory %s may be written by that user (mode %04o)", dir, above.Mode&0o7777)
}

// mayWrite goes by mode and groups, not by order: a mode that forbids a group
// what it grants to all others is not relied on.
func (u accessor) mayWrite(path string, st unix.Stat_t) bool {
	if int(st.Uid) == u.uid || st.Mode&0o002 != 0 {
		return true
	}
	if st.Mode&0o020 == 0 {
		return false // with an access control list these bits are its mask
	}
	return slices.Contains(u.groups, int(st.Gid)) || hasACL(path)
}

func hasACL(path string) bool {
	n, err := unix.Lgetxattr(path, "system.posix_acl_access", nil)
	return err == nil && n > 0
}
