package lease

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"envrole/roles/fault"
)

// writerBytes gives writer ids of 64 random bits: unique in a fleet, and short,
// since the id is part of every policy's name.
const (
	writerBytes  = 8
	writerLength = 13
)

// writerWait bounds the wait for another process that makes the writer id.
const writerWait = 10 * time.Second

// ValidWriter says whether s has the form of a writer id: 13 of a-z2-7.
func ValidWriter(s string) bool { return isBase32(s, writerLength) }

// NewWriter makes a writer id that nobody uses.
func NewWriter() (string, error) { return randomText(writerBytes) }

// Writer is the name under which this host writes deny policies. It is random
// and kept in the state directory by boot id: a machine made from an image with
// a state directory in it boots under another id and gets a name of its own,
// and so do hosts that share a directory. What was written under an earlier
// name stays until its windows are past.
func (l *Ledger) Writer() (string, error) {
	const op = "name the policy writer"
	boot := l.host.BootID
	if !validBootID(boot) {
		return "", fault.New(fault.Internal, op, l.dir, errors.New("boot id unknown"), "Mount /proc.")
	}
	path := l.path(writersDir, boot)
	if w, err := readWriter(path); err == nil {
		return w, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), writerWait)
	defer cancel()
	f, err := lock(ctx, l.path(locksDir, "writer.lock"), unix.LOCK_EX)
	if err != nil {
		return "", ioFault(op, l.dir, err)
	}
	defer func() { _ = f.Close() }()
	w, err := readWriter(path)
	if err == nil {
		return w, nil
	}
	// A file that holds no writer id is replaced: a new name harms nothing. One
	// that could not be read might hold the name in use, and is not.
	if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, ErrDamaged) {
		return "", ioFault(op, path, err)
	}
	if w, err = NewWriter(); err != nil {
		return "", ioFault(op, path, err)
	}
	if err := writeAtomic(path, []byte(w), durable); err != nil {
		return "", ioFault(op, path, err)
	}
	return w, nil
}

func readWriter(path string) (string, error) {
	b, err := readSmall(path, maxRecord)
	if err != nil {
		return "", err
	}
	if !ValidWriter(string(b)) {
		return "", ErrDamaged
	}
	return string(b), nil
}

// validBootID keeps a boot id to what the kernel prints, hexadecimal digits and
// dashes: it becomes a file name.
func validBootID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') && c != '-' {
			return false
		}
	}
	return true
}
