package shell

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// removeTree removes name in the open directory dir, and all below it. It
// follows no symbolic link, enters no other file system, and holds two
// directories open however deep the tree is: what lies deeper is first moved to
// the top. A name that is not there is no error.
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

// emptyTree removes what is in the directory name of dir.
func emptyTree(ctx context.Context, dir int, name string) error {
	top, err := openBelow(dir, name, nil)
	if err != nil {
		return err
	}
	defer top.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(top.Fd()), &st); err != nil {
		return err
	}
	m := mover{top: top, device: st.Dev, prefix: ".envrole-" + rand.Text() + "-"}
	return m.run(ctx)
}

// mover empties a directory level by level.
type mover struct {
	top    *os.File
	device uint64
	prefix string
	moved  int
	queue  []string // directories in top, not empty
}

func (m *mover) run(ctx context.Context) error {
	if err := m.level(ctx, m.top, func(name string) error { m.queue = append(m.queue, name); return nil }); err != nil {
		return err
	}
	for len(m.queue) > 0 {
		name := m.queue[len(m.queue)-1]
		m.queue = m.queue[:len(m.queue)-1]
		if err := m.lift(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// lift empties a directory in top and removes it; directories in it go to top.
func (m *mover) lift(ctx context.Context, name string) error {
	d, err := openBelow(int(m.top.Fd()), name, &m.device)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	err = m.level(ctx, d, func(child string) error {
		m.moved++
		to := m.prefix + strconv.Itoa(m.moved)
		if err := unix.Renameat(int(d.Fd()), child, int(m.top.Fd()), to); err != nil {
			return &os.PathError{Op: "move", Path: child, Err: err}
		}
		m.queue = append(m.queue, to)
		return nil
	})
	if err != nil {
		return err
	}
	_, err = unlink(int(m.top.Fd()), name) // filled again: the next sweep finds it
	return err
}

// level removes all entries of d but directories that are not empty: full gets
// those, each once.
func (m *mover) level(ctx context.Context, d *os.File, full func(name string) error) error {
	kept := map[string]bool{}
	for {
		removed := false
		if _, err := d.Seek(0, io.SeekStart); err != nil {
			return err
		}
		for {
			names, err := d.Readdirnames(1024)
			if len(names) == 0 && err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if len(names) == 0 {
				break
			}
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			for _, name := range names {
				if kept[name] {
					continue
				}
				done, err := unlink(int(d.Fd()), name)
				if err != nil {
					return err
				}
				removed = true
				if !done {
					kept[name] = true
					if err := full(name); err != nil {
						return err
					}
				}
			}
		}
		if !removed {
			return nil // a directory that is read while it shrinks may skip names
		}
	}
}

// openBelow opens the directory name of dir, not through a link, and, where a
// device is given, on that one only.
func openBelow(dir int, name string, device *uint64) (*os.File, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		f.Close()
		return nil, err
	}
	if device != nil && st.Dev != *device {
		f.Close()
		return nil, fmt.Errorf("%s: another file system is mounted there", name)
	}
	return f, nil
}
