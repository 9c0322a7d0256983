package lease

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// holdWait bounds the wait of Hold. Only a sweep that looks whether anybody
// holds the lease is in the way, for microseconds.
const holdWait = 10 * time.Second

func (l *Ledger) holdOf(id string) string { return l.path(locksDir, id+".hold") }

// Hold says that this process works for the lease's job: until release is
// called or the process dies, the lease does not count as dead before its
// deadline, even if its owner is gone. Any number of processes may hold.
func (l *Ledger) Hold(id string) (release func(), err error) {
	const op = "hold lease"
	if !ValidID(id) {
		return nil, badID(op)
	}
	if _, err := l.read(id); err != nil {
		return nil, ioFault(op, id, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), holdWait)
	defer cancel()
	f, err := lock(ctx, l.holdOf(id), unix.LOCK_SH)
	if err != nil {
		return nil, ioFault(op, id, err)
	}
	return sync.OnceFunc(func() { _ = f.Close() }), nil
}

// Held says whether any process holds the lease.
func (l *Ledger) Held(id string) (bool, error) {
	if _, err := os.Lstat(l.holdOf(id)); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	f, err := tryLock(l.holdOf(id), unix.LOCK_EX)
	if errors.Is(err, errBusy) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look whether lease %s is held: %w", id, err)
	}
	return false, f.Close()
}
