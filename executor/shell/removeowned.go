package shell

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// sharedDirs are the directories of a host in which every user may make files.
func sharedDirs(uid int) []string {
	return []string{"/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/var/lock", "/dev/mqueue", "/run/user/" + strconv.Itoa(uid), "/var/crash"}
}

// maxDepth bounds how deep other users' directories are searched that this one
// could write.
const maxDepth = 8

// removeOwned removes what belongs to uid in the directory path, and in those
// directories below it that others may write. A directory that is not there is
// no error.
func removeOwned(ctx context.Context, path string, uid int) error {
	path, err := filepath.EvalSymlinks(path) // /var/lock is one; these are root's own
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	d, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer d.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(d.Fd()), &st); err != nil {
		return err
	}
	if err := removeOwnedIn(ctx, d, st.Dev, uid, maxDepth); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func removeOwnedIn(ctx context.Context, d *os.File, device uint64, uid, depth int) error {
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Fstatat(int(d.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			continue // gone meanwhile
		}
		switch {
		case int(st.Uid) == uid:
			errs = append(errs, removeTree(ctx, int(d.Fd()), name))
		case depth > 0 && st.Mode&unix.S_IFMT == unix.S_IFDIR && st.Mode&0o002 != 0 && st.Dev == device:
			sub, err := openBelow(int(d.Fd()), name, &device)
			if err == nil {
				err = removeOwnedIn(ctx, sub, device, uid, depth-1)
				sub.Close()
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// removeScheduled removes what would start something as the user later: the
// crontab, at jobs, and the mark that keeps a user manager running. Mail that
// all of that sends goes too.
func removeScheduled(ctx context.Context, name string, uid int) error {
	var errs []error
	for _, dir := range []string{
		"/var/spool/cron/crontabs", "/var/spool/cron/tabs", "/var/spool/cron", // Debian, SUSE, Red Hat
		"/var/lib/systemd/linger", "/var/mail", "/var/spool/mail",
	} {
		d, err := os.OpenRoot(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			if info, statErr := d.Lstat(name); statErr == nil && !info.IsDir() {
				err = d.Remove(name)
			}
			_ = d.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	for _, dir := range []string{"/var/spool/cron/atjobs", "/var/spool/at", "/var/spool/cron/atspool"} {
		errs = append(errs, removeOwned(ctx, dir, uid))
	}
	return errors.Join(errs...)
}
