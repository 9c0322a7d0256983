package lease

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// staleAfter is the age from which a temporary or lock file that belongs to
// nothing is garbage: no write takes that long.
const staleAfter = time.Hour

// Cleaned counts what Clean removed.
type Cleaned struct{ Temp, Sealed, Locks int }

// Clean removes what dead processes left: temporary files, sealed blobs whose
// lease is gone or past its deadline, locks of no lease. Records are never
// touched. It goes on after an error and gives all of them.
func (l *Ledger) Clean(ctx context.Context, now time.Time) (Cleaned, error) {
	var c Cleaned
	var errs []error
	for _, dir := range []string{leasesDir, locksDir, sealedDir, rolesDir, writersDir, marksDir} {
		entries, err := os.ReadDir(l.path(dir, ""))
		if err != nil {
			errs = append(errs, ioFault("clean state directory", dir, err))
			continue
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return c, errors.Join(append(errs, err)...)
			}
			path := l.path(dir, e.Name())
			var n *int
			switch {
			case isTemp(e.Name()):
				if stale(e) {
					n, err = &c.Temp, os.Remove(path)
				}
			case dir == sealedDir:
				if l.orphan(e, now) {
					n, err = &c.Sealed, os.Remove(path)
				}
			case dir == locksDir:
				if stale(e) && l.removeLock(path, e.Name()) {
					n = &c.Locks
				}
			}
			switch {
			case n == nil || errors.Is(err, os.ErrNotExist):
			case err != nil:
				errs = append(errs, ioFault("clean state directory", path, err))
			default:
				*n++
			}
		}
	}
	return c, errors.Join(errs...)
}

// stale judges by the file system's own time, never by a clock that a caller gave.
func stale(e os.DirEntry) bool {
	info, err := e.Info()
	return err == nil && time.Since(info.ModTime()) > staleAfter
}

// orphan: a lease is written before its blob, so a blob without one has lost it,
// or belongs to a job that was lent nothing: that one is kept until the time
// that WriteSealed set. A lease that cannot be read keeps its blob.
func (l *Ledger) orphan(e os.DirEntry, now time.Time) bool {
	if !ValidID(e.Name()) {
		return false
	}
	le, err := l.read(e.Name())
	if errors.Is(err, ErrNotFound) {
		info, err := e.Info()
		return err == nil && now.After(info.ModTime())
	}
	return err == nil && now.After(le.Deadline)
}

// removeLock removes a lock file whose lease is gone, while holding it.
func (l *Ledger) removeLock(path, name string) bool {
	id, _, ok := strings.Cut(name, ".")
	if !ok || !ValidID(id) {
		return false
	}
	if _, err := os.Lstat(l.record(id)); !errors.Is(err, os.ErrNotExist) {
		return false
	}
	f, err := tryLock(path, unix.LOCK_EX)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	if _, err := os.Lstat(l.record(id)); !errors.Is(err, os.ErrNotExist) {
		return false
	}
	return os.Remove(path) == nil
}
