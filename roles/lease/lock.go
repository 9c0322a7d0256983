package lease

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Waiting for a lock is polling: a blocking flock cannot be cancelled, and a
// stage must end when its context does. The pauses grow from pollFirst to
// pollLast; a lock here is held for a few file operations, so the first
// pauses are the common case.
const (
	pollFirst = time.Millisecond
	pollLast  = 20 * time.Millisecond
)

// errBusy means that somebody else holds a lock.
var errBusy = errors.New("locked by another process")

// tryLock takes a flock of kind how (unix.LOCK_EX or LOCK_SH) on the file,
// creating it if needed, or gives errBusy. The lock ends with the file: close
// it, or die. A lock file that was removed between opening and locking is not
// the one that others see, so the name is looked up again.
func tryLock(path string, how int) (*os.File, error) {
	for {
		f, err := openLock(path)
		if err != nil {
			return nil, err
		}
		if err := flock(f, how); err != nil {
			_ = f.Close()
			return nil, err
		}
		same, err := stillThere(f, path)
		if err == nil && same {
			return f, nil
		}
		_ = f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// openLock opens the lock file for reading: flock needs no more, and so an
// existing lock serves on a disk that is full or has become read-only.
func openLock(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
		if err == nil || !errors.Is(err, os.ErrNotExist) {
			return f, err
		}
		f, err = os.OpenFile(path, os.O_RDONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
		if err == nil || !errors.Is(err, os.ErrExist) {
			return f, err
		}
	}
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return errBusy
		default:
			return fmt.Errorf("flock: %w", err)
		}
	}
}

func stillThere(f *os.File, path string) (bool, error) {
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	theirs, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, theirs), err
}

// lock is tryLock that waits until ctx ends.
func lock(ctx context.Context, path string, how int) (*os.File, error) {
	pause := pollFirst
	for {
		f, err := tryLock(path, how)
		if !errors.Is(err, errBusy) {
			return f, err
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, fmt.Errorf("wait for lock: %w", err)
		}
		pause = min(2*pause, pollLast)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
