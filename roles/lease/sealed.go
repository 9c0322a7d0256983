package lease

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// maxSealed bounds a hand-over blob in bytes. A session token has no documented
// maximum; a few KiB are usual.
const maxSealed = 4 << 20

// WriteSealed stores the encrypted hand-over of a lease's stages, mode 0600,
// replacing an earlier one as a whole. It is not synced: after a power cut
// there is no job left that could open it.
//
// Until keep, Clean leaves the blob alone though there is no lease with its id:
// the hand-over of a job that was lent nothing. The time is the file's own, set
// before the file has its name, so that no sweep sees it without.
func (l *Ledger) WriteSealed(id string, blob []byte, keep time.Time) error {
	const op = "write sealed session"
	if !ValidID(id) {
		return badID(op)
	}
	if len(blob) > maxSealed {
		return ioFault(op, id, fmt.Errorf("%d bytes are too many", len(blob)))
	}
	return ioFault(op, id, writeAtomicAt(l.path(sealedDir, id), blob, lossy, keep))
}

// ReadSealed gives what WriteSealed stored; ErrNotFound if there is nothing.
func (l *Ledger) ReadSealed(id string) ([]byte, error) {
	const op = "read sealed session"
	if !ValidID(id) {
		return nil, badID(op)
	}
	b, err := readSmall(l.path(sealedDir, id), maxSealed)
	if errors.Is(err, os.ErrNotExist) {
		err = ErrNotFound
	}
	return b, ioFault(op, id, err)
}

// SealedUntil gives the time until which WriteSealed was to keep the blob of a
// job without a lease; ErrNotFound if there is none.
func (l *Ledger) SealedUntil(id string) (time.Time, error) {
	const op = "read sealed session"
	if !ValidID(id) {
		return time.Time{}, badID(op)
	}
	info, err := os.Lstat(l.path(sealedDir, id))
	if errors.Is(err, os.ErrNotExist) {
		return time.Time{}, ioFault(op, id, ErrNotFound)
	}
	if err != nil {
		return time.Time{}, ioFault(op, id, err)
	}
	return info.ModTime(), nil
}

// RemoveSealed removes the blob; that there is none is no error.
func (l *Ledger) RemoveSealed(id string) error {
	const op = "remove sealed session"
	if !ValidID(id) {
		return badID(op)
	}
	err := os.Remove(l.path(sealedDir, id))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return ioFault(op, id, err)
}
