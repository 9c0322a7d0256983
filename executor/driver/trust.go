package driver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"envrole/executor"
	"envrole/roles/fault"
)

// MayLend implements executor.Base. What the wrapped driver isolates cannot be
// seen from here, and is no reason to refuse: docs/bases.md says what to look
// at. But nobody other than root and the runner's user may change what decides:
// its programs and the files named in their arguments get the session, authority
// decides about it.
func (Base) MayLend(_ context.Context, _ executor.Job, plan json.RawMessage, authority []string) error {
	p, err := openPlan(plan)
	if err != nil {
		return err
	}
	var wrong []string
	for _, path := range slices.Concat(p.files(), authority) {
		why, err := changeable(path, os.Geteuid())
		if err != nil {
			return fault.New(fault.Internal, "check who may write", path, err, "")
		}
		if why != "" && !slices.Contains(wrong, why) {
			wrong = append(wrong, why)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fault.New(fault.Refused, "lend a role to", "jobs of the wrapped driver",
		fmt.Errorf("others than root and the runner's user could change what decides about roles: %s", strings.Join(wrong, "; ")),
		"Administrator: give the files and every directory above them to root, not writable by others (chown root:root, chmod go-w).")
}

// files are what the four commands name, see filesOf.
func (p Plan) files() []string {
	var out []string
	for _, argv := range [][]string{p.Config, p.Prepare, p.Run, p.Cleanup} {
		out = append(out, filesOf(argv)...)
	}
	return out
}

// filesOf are a program of the driver, and every file that its arguments name:
// of `/usr/bin/python3 /opt/driver.py` the second is the driver, and
// `--config=/etc/driver.toml` says what it does. Of the rest see unchecked.
func filesOf(argv []string) []string {
	var out []string
	for i, arg := range argv {
		if i > 0 {
			if _, value, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(arg, "-") {
				arg = value
			}
			if info, err := os.Stat(arg); !filepath.IsAbs(arg) || err != nil || !info.Mode().IsRegular() {
				continue
			}
		}
		out = append(out, arg)
	}
	return out
}

// maxLinks bounds the symbolic links on the way to a file, as the kernel does.
const maxLinks = 40

// changeable says why somebody other than root and uid could change what path
// leads to, or put something else in its place; "" if nobody could. It looks at
// every directory and link on the way. What does not exist yet is judged by the
// directory that it would be in.
func changeable(path string, uid int) (why string, err error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("%q is not absolute", path)
	}
	at, links := "/", 0
	dir, err := os.Lstat(at)
	if err != nil {
		return "", err
	}
	if why := byOthers(at, dir, dir, uid); why != "" {
		return why, nil
	}
	for rest := strings.Split(path, "/"); len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		if part == "" || part == "." {
			continue
		}
		next := filepath.Join(at, part)
		if dir, err = os.Lstat(at); err != nil {
			return "", err
		}
		info, err := os.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			if sticky(dir) {
				return fmt.Sprintf("%s does not exist, and everybody could make it", next), nil
			}
			return "", nil
		case err != nil:
			return "", err
		}
		if why := byOthers(next, info, dir, uid); why != "" {
			return why, nil
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", errors.New("too many symbolic links")
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return "", nil
}

// byOthers looks at one file, directory or link in the directory dir.
func byOthers(path string, info, dir fs.FileInfo, uid int) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return path + ": its owner is not known"
	}
	owner, perm := int(st.Uid), info.Mode().Perm()
	switch {
	case owner != 0 && owner != uid:
		return fmt.Sprintf("%s belongs to user %d", path, owner)
	case sticky(dir) && owner != uid:
		return fmt.Sprintf("%s lies in a directory that everybody can write", path)
	case info.Mode()&fs.ModeSymlink != 0 || sticky(info):
		return "" // a link's own mode means nothing
	case perm&0o022 != 0: // with an access control list the group's bits are its mask
		return fmt.Sprintf("%s may be written by its group or by everybody (mode %04o)", path, perm)
	}
	return ""
}

// sticky says whether a directory is one that others can write, but in which
// they cannot replace what is not theirs.
func sticky(info fs.FileInfo) bool {
	return info.IsDir() && info.Mode()&fs.ModeSticky != 0 && info.Mode().Perm()&0o022 != 0
}
