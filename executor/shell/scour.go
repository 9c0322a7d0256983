package shell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// scour removes everything that a job left with its user: every process of the
// user, what would start one later, its mounts, IPC objects and keys, the job's own
// directory, and its files where every user may make some. It succeeds only if
// all of that is gone.
func scour(ctx context.Context, t tenancy) error {
	if t.UID <= 0 || t.UID == os.Geteuid() {
		return fmt.Errorf("uid %d is no job's", t.UID)
	}
	for range maxRounds {
		if err := endAllOf(ctx, t.UID); err != nil {
			return err
		}
		// What cron, at or a user manager had just begun ends in the next round.
		errs := []error{detachFUSE(t.UID), removeScheduled(ctx, t.User, t.UID), removeIPC(ctx, t.UID), clearKeyrings(t.UID), removeJobDir(ctx, t.Dir)}
		for _, dir := range sharedDirs(t.UID) {
			errs = append(errs, removeOwned(ctx, dir, t.UID))
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
		left, err := processesOf(t.UID)
		if err != nil {
			return err
		}
		if len(left) == 0 {
			return nil
		}
	}
	return fmt.Errorf("something starts processes of uid %d again and again: cron, a service of the user, or a login", t.UID)
}

// maxRounds bounds how often something may start a process anew meanwhile.
const maxRounds = 5

// removeJobDir removes a job's own directory. Only one that has a marker's name
// is removed: the path comes from a record.
func removeJobDir(ctx context.Context, dir string) error {
	if dir == "" {
		return nil
	}
	if !filepath.IsAbs(dir) || !isMarker(filepath.Base(dir)) {
		return fmt.Errorf("%s is no job's directory", dir)
	}
	above, err := os.Open(filepath.Dir(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer above.Close()
	if err := removeTree(ctx, int(above.Fd()), filepath.Base(dir)); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return nil
}

func isMarker(name string) bool {
	if len(name) != markerLength {
		return false
	}
	for _, c := range name {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
