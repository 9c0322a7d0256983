package shell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// errTaken means that somebody holds the lock that was asked for.
var errTaken = errors.New("in use")

const (
	// lockPause is between two tries for a lock.
	lockPause = 20 * time.Millisecond
	// shortWait is for locks that are held for a look only; longWait for one
	// that a dying run stage holds until its processes have ended.
	shortWait = 10 * time.Second
	longWait  = 30 * time.Second
)

// lock locks a user: unix.LOCK_EX to give, clean or free it, LOCK_SH while a
// script of its job runs. It waits as long as wait; 0 is not at all, and then
// errTaken says that another holds it. The file stays for ever: whoever has it
// open must be holding the same lock as all others.
func (b book) lock(ctx context.Context, user string, how int, wait time.Duration) (*os.File, error) {
	f, err := os.OpenFile(b.path(user, ".lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, b.fault("lock", user, err)
	}
	switch err := lockFile(ctx, f, how, wait); {
	case errors.Is(err, errTaken) || ctx.Err() != nil:
		f.Close()
		return nil, fmt.Errorf("lock user %s: %w", user, err)
	case err != nil:
		f.Close()
		return nil, b.fault("lock", user, err)
	}
	return f, nil
}

// lockFile locks an open file, and waits as long as wait for who has it.
func lockFile(ctx context.Context, f *os.File, how int, wait time.Duration) error {
	for end := time.Now().Add(wait); ; {
		_, err := ignoringEINTR(func() (int, error) { return 0, unix.Flock(int(f.Fd()), how|unix.LOCK_NB) })
		switch {
		case err == nil, !errors.Is(err, unix.EWOULDBLOCK):
			return err
		case !time.Now().Before(end):
			return errTaken
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lockPause):
		}
	}
}
