package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// removeTree removes name in the open directory dir, and all below it. It
// follows no symbolic link, enters no other mount, and holds two directories
// open however deep the tree is. A name that is not there is no error.
func removeTree(ctx context.Context, dir int, name string) error {
	for range maxSweeps {
		done, err := unlink(dir, name)
		if done || err != nil {
			return err
		}
		if err := emptyTree(ctx, dir, name); err != nil {
			return err
		}
	}
	return fmt.Errorf("remove %s: it is being filled again and again", name)
}

// maxSweeps bounds how often a directory is emptied that something still fills.
const maxSweeps = 8

// unlink removes a name if it is no directory, or an empty one.
func unlink(dir int, name string) (done bool, err error) {
	err = unix.Unlinkat(dir, name, 0)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) {
		err = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
	}
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
		return true, nil
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST):
		return false, nil
	}
	return false, &os.PathError{Op: "remove", Path: name, Err: err}
}

// emptyTree removes what is in the directory name of dir. It goes down to what is
// full and comes up by "..", and moves nothing: a file system may forbid that
// between directories that a job has arranged (project ids, encryption,
// subvolumes).
func emptyTree(ctx context.Context, dir int, name string) error {
	w := walk{}
	defer func() { w.here.Close() }()
	if err := w.enter(dir, name); err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		full, err := w.clear(ctx)
		switch {
		case err != nil:
		case full != "":
			if err = w.enter(int(w.here.Fd()), full); errors.Is(err, fs.ErrNotExist) {
				err = nil // gone meanwhile
			}
		case len(w.above) == 1:
			return nil
		default:
			err = w.leave()
		}
		if err != nil {
			return err
		}
	}
}

// walk is a place in a tree that is being emptied.
type walk struct {
	here  *os.File
	above []place // the way here, here itself last
}

// place is a directory on the way.
type place struct {
	name       string
	dev, inode uint64
	rounds     int // how often it was read to the end and was not empty, or had something full again
}

// enter goes into the directory name of dir, and takes from others the right to
// add to it.
func (w *walk) enter(dir int, name string) error {
	d, err := openSame(dir, name)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(d.Fd()), &st); err != nil {
		d.Close()
		return &os.PathError{Op: "look at", Path: name, Err: err}
	}
	makeWritable(d, st)
	_ = d.Chmod(0o700) // where that fails, the bounds hold
	w.here.Close()
	w.here = d
	w.above = append(w.above, place{name: name, dev: st.Dev, inode: st.Ino})
	return nil
}

// leave goes up to the directory that this one was found in, and removes it.
func (w *walk) leave() error {
	d, err := openBelow(int(w.here.Fd()), "..", nil)
	if err != nil {
		return err
	}
	w.here.Close()
	w.here = d
	left := w.above[len(w.above)-1]
	w.above = w.above[:len(w.above)-1]
	up := &w.above[len(w.above)-1]
	var st unix.Stat_t
	if err := unix.Fstat(int(d.Fd()), &st); err != nil {
		return &os.PathError{Op: "look at", Path: "..", Err: err}
	}
	if st.Dev != up.dev || st.Ino != up.inode {
		return fmt.Errorf("%s: it was moved while it was being emptied", left.name)
	}
	done, err := unlink(int(d.Fd()), left.name)
	if err == nil && !done {
		up.rounds++ // filled again
	}
	return err
}

// clear removes all entries up to a directory that is full, and names that one.
func (w *walk) clear(ctx context.Context) (full string, err error) {
	at := &w.above[len(w.above)-1]
	for ; at.rounds < maxSweeps; at.rounds++ {
		if _, err := w.here.Seek(0, io.SeekStart); err != nil {
			return "", err
		}
		removed := false // a directory that is read while it shrinks may skip names
		for {
			names, err := w.here.Readdirnames(128) // not many: it starts anew after each full one
			if len(names) == 0 && err != nil && !errors.Is(err, io.EOF) {
				return "", err
			}
			if len(names) == 0 {
				break
			}
			if err := ctx.Err(); err != nil {
				return "", context.Cause(ctx)
			}
			for _, name := range names {
				done, err := unlink(int(w.here.Fd()), name)
				if err != nil || !done {
					return name, err
				}
			}
			removed = true
		}
		if !removed {
			return "", nil
		}
	}
	return "", fmt.Errorf("%s: it is being filled again and again", at.name)
}
