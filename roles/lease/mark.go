package lease

import (
	"errors"
	"os"
)

// WriteMark keeps a small fact under a fixed name (lower-case letters), for
// other rooms: it is replaced as a whole, and may be lost in a power cut.
func (l *Ledger) WriteMark(name string, content []byte) error {
	if !validMark(name) {
		return ioFault("write mark", "", errors.New("bad name"))
	}
	return ioFault("write mark", name, writeAtomic(l.path(marksDir, name), content, lossy))
}

// ReadMark gives what WriteMark kept; ErrNotFound if there is nothing.
func (l *Ledger) ReadMark(name string) ([]byte, error) {
	if !validMark(name) {
		return nil, ioFault("read mark", "", errors.New("bad name"))
	}
	b, err := readSmall(l.path(marksDir, name), maxRecord)
	if errors.Is(err, os.ErrNotExist) {
		err = ErrNotFound
	}
	return b, ioFault("read mark", name, err)
}

func validMark(name string) bool {
	for i := range len(name) {
		if name[i] < 'a' || name[i] > 'z' {
			return false
		}
	}
	return name != "" && len(name) <= 32
}
