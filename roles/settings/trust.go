package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Who may change the configuration decides which roles jobs get. So a file is
// read only if nobody but root and the current user could have written it: not
// the file, not a directory on the way to it, not a link on that way.

// writable are the mode bits that let others than the owner change something.
// With an access control list the group bits show what the list gives at most.
const writable = 0o022

// maxLinks bounds the symbolic links on the way to a file, as the kernel does.
const maxLinks = 40

// errTrust marks a file that somebody else could have written.
var errTrust = errors.New("others could change it")

// trusted follows path from the root directory and gives the path of the
// regular file it leads to, with every link resolved. uid is the user that
// besides root may own what lies on the way.
func trusted(path string, uid int) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	at, links := "/", 0
	info, err := os.Lstat(at)
	if err != nil {
		return "", err
	}
	if err := checkOwner(at, info, info, uid); err != nil {
		return "", err
	}
	for rest := strings.Split(abs, "/"); len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		dir, err := os.Lstat(at)
		if err != nil {
			return "", err
		}
		if !dir.IsDir() {
			return "", fmt.Errorf("%s is not a directory", at)
		}
		next := filepath.Join(at, part)
		info, err := os.Lstat(next)
		if err != nil {
			return "", err
		}
		if err := checkOwner(next, info, dir, uid); err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s: more than %d symbolic links", path, maxLinks)
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
	return at, nil
}

// checkOwner looks at one file, directory or link at path, which lies in a
// directory with the given information.
func checkOwner(path string, info, dir fs.FileInfo, uid int) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: its owner is not known", path)
	}
	owner := int(st.Uid)
	if owner != 0 && owner != uid {
		return fmt.Errorf("%w: %s belongs to user %d, not to root or the current user (%d); run: chown root %s",
			errTrust, path, owner, uid, shellWord(path))
	}
	// In a sticky directory such as /tmp others can make names, though not
	// replace ours: what lies there must be ours.
	if sticky(dir) && owner != uid {
		return fmt.Errorf("%w: %s lies in a directory that everybody can write; move it, or run: chown %d %s",
			errTrust, path, uid, shellWord(path))
	}
	if info.Mode()&fs.ModeSymlink != 0 || sticky(info) {
		return nil // a link's own mode means nothing
	}
	if perm := info.Mode().Perm(); perm&writable != 0 {
		return fmt.Errorf("%w: %s has mode %#o, its group or others can write; run: chmod go-w %s",
			errTrust, path, perm, shellWord(path))
	}
	return nil
}

// sticky says whether a directory is one that others can write, but in which
// they cannot replace what is not theirs.
func sticky(info fs.FileInfo) bool {
	return info.IsDir() && info.Mode()&fs.ModeSticky != 0 && info.Mode().Perm()&writable != 0
}

// shellWord quotes a path for a command to copy.
func shellWord(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("/._-", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}
