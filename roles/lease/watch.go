package lease

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// This file promises what Get and OwnerGone promise, for one lease at which is
// looked again and again, at a fraction of their cost: the record is read each
// time, and only understood anew when it changed; and the kernel is asked about
// the owner by a descriptor that means that very process.

// Watch looks at one lease. Close it. Several goroutines may use it.
type Watch struct {
	ledger *Ledger
	id     string

	mu    sync.Mutex
	buf   []byte // of the next look
	seen  []byte // the record as it was read last; nil if it could not be
	lease Lease  // what seen says
	owner Owner  // whom pidfd means
	pidfd int    // -1 if there is none
}

// Watch gives a look at the lease with that id. It opens nothing yet.
func (l *Ledger) Watch(id string) *Watch { return &Watch{ledger: l, id: id, pidfd: -1} }

// Close lets go of the owner. The watch may be used on, at full cost.
func (w *Watch) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.release()
}

func (w *Watch) release() {
	if w.pidfd >= 0 {
		_ = unix.Close(w.pidfd)
	}
	w.pidfd, w.owner = -1, Owner{}
}

// Get reads the lease; its errors are those of the ledger's Get.
func (w *Watch) Get() (Lease, error) {
	if !ValidID(w.id) {
		return Lease{}, badID("read lease")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	b, err := w.read()
	if err == nil && w.seen != nil && bytes.Equal(b, w.seen) {
		return w.lease, nil
	}
	w.seen = nil
	switch {
	case errors.Is(err, os.ErrNotExist):
		err = fmt.Errorf("lease %s: %w", w.id, ErrNotFound)
	case err == nil:
		if w.lease, err = decode(w.id, b); err == nil {
			w.seen = bytes.Clone(b)
			return w.lease, nil
		}
	}
	return Lease{}, ioFault("read lease", w.id, err)
}

// read is readSmall without the costs of an os.File, into a buffer that is kept.
func (w *Watch) read() ([]byte, error) {
	path := w.ledger.record(w.id)
	fd, err := retried(func() (int, error) {
		return unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.New("not a regular file")
	}
	if st.Size > maxRecord {
		return nil, fmt.Errorf("longer than %d bytes", maxRecord)
	}
	if int64(len(w.buf)) <= st.Size {
		w.buf = make([]byte, st.Size+1)
	}
	for n := 0; ; {
		got, err := retried(func() (int, error) { return unix.Read(fd, w.buf[n:]) })
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: path, Err: err}
		}
		if n += got; got == 0 {
			return w.buf[:n], nil
		}
		if n == len(w.buf) {
			return nil, errors.New("it grew while it was read")
		}
	}
}

// retried repeats a system call that a signal interrupted.
func retried(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// OwnerGone says of a lease what the ledger's OwnerGone says.
func (w *Watch) OwnerGone(le Lease) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pidfd >= 0 && w.owner == le.Owner {
		return ended(w.pidfd)
	}
	w.release()
	if open := w.ledger.host.Open; open != nil && le.Owner.PID > 1 {
		if fd, err := open(le.Owner.PID); err == nil {
			w.pidfd, w.owner = fd, le.Owner
		}
	}
	// Asked after the descriptor was opened: if the pid had been used again by
	// then, or is afterwards, this finds it.
	gone := w.ledger.OwnerGone(le)
	if gone || !w.ledger.knows(le.Owner) {
		w.release()
	}
	return gone
}

// ended says whether the process of a pidfd has ended, with all its threads; a
// zombie has. An error or a doubt is "no".
func ended(pidfd int) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}} //nolint:gosec // a descriptor fits
	n, err := retried(func() (int, error) { return unix.Poll(fds, 0) })
	return err == nil && n == 1 && fds[0].Revents&unix.POLLIN != 0
}

// openProcess is a descriptor of a process, closed on exec. Linux has them from
// 5.3 on.
func openProcess(pid int) (int, error) { return unix.PidfdOpen(pid, 0) }
