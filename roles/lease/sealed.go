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
func (l *Ledger) WriteSealed(id string, blob []byte) error {
	const op = "write sealed session"
	if !ValidID(id) {
		return badID(op)
	}
	if len(blob) > maxSealed {
		return ioFault(op, id, fmt.Errorf("%d bytes are too many", len(blob)))
	}
	return ioFault(op, id, writeAtomic(l.path(sealedDir, id), blob, lossy))
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

// KeepSealed says until when the blob is kept though there is no lease with its
// id: the hand-over of a job that was lent nothing. The time is the file's own.
func (l *Ledger) KeepSealed(id string, until time.Time) error {
	const op = "keep sealed session"
	if !ValidID(id) {
		return badID(op)
	}
	return ioFault(op, id, os.Chtimes(l.path(sealedDir, id), until, until))
}
