package lease

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const tempPrefix = ".tmp-"

// durability is what a power cut may take.
type durability int

const (
	lossy   durability = iota // the file may be lost or empty
	whole                     // the file may still be the old one, but is whole
	durable                   // once written, it stays
)

// writeAtomic replaces path by a file of mode 0600 with the given content. A
// reader sees the old file or the whole new one.
func writeAtomic(path string, content []byte, d durability) error {
	return writeAtomicAt(path, content, d, time.Time{})
}

// writeAtomicAt is writeAtomic of a file with the given time, unless it is zero.
func writeAtomicAt(path string, content []byte, d durability, at time.Time) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, tempPrefix+"*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(content); err != nil {
		return err
	}
	if !at.IsZero() {
		if err = os.Chtimes(f.Name(), at, at); err != nil {
			return err
		}
	}
	if d >= whole {
		if err = f.Sync(); err != nil {
			return err
		}
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	if d >= durable {
		// The record is in place, but may not survive a power cut: the caller
		// must not go on as if it did.
		if syncErr := syncDir(dir); syncErr != nil {
			return fmt.Errorf("sync directory: %w", syncErr)
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}

// readSmall reads a regular file of at most limit bytes, following no link.
func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("longer than %d bytes", limit)
	}
	return b, nil
}

func isTemp(name string) bool { return strings.HasPrefix(name, tempPrefix) }
