package driver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"envrole/roles/fault"
)

// copyPrefix begins the names of the directories that hold a copy; the job's
// mark follows.
const copyPrefix = "envrole-script-"

// copied is a script with a session in it.
type copied struct {
	path   string
	remove func() // of the copy and its directory; may be called twice
}

// copyScript writes a copy of the runner's script that first exports vars. It
// has mode 0700 and the script's own name, since drivers go by the extension,
// and lies in a new directory of mode 0700 below the job's TMPDIR, which the
// runner made for this job alone and removes after it.
func (p Plan) copyScript(path string, vars []variable) (copied, error) {
	c, err := p.newCopy(path, vars)
	if err != nil {
		c.remove()
		return copied{}, fault.New(fault.Internal, "copy script", path, err, copyHelp(err))
	}
	return c, nil
}

func copyHelp(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "Administrator: make room on the file systems of the runner's temporary directory and of the state directory."
	case errors.Is(err, errKind), errors.Is(err, errNotText):
		return "Administrator: set inject = \"env\" in [executor.driver] if the wrapped driver carries its environment into the job."
	}
	return ""
}

func (p Plan) newCopy(path string, vars []variable) (copied, error) {
	c := copied{remove: func() {}}
	src, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return c, err
	}
	defer src.Close()
	if info, err := src.Stat(); err != nil || !info.Mode().IsRegular() {
		return c, errors.New("not a regular file")
	}
	tmp := os.Getenv("TMPDIR")
	if !filepath.IsAbs(tmp) { // the runner always sets it; no other place is private
		return c, errors.New("the runner has set no TMPDIR")
	}
	suffix, forget, err := p.recorded(tmp, filepath.Base(path))
	if err != nil {
		return c, fmt.Errorf("write down where the copy is: %w", err)
	}
	dir := filepath.Join(tmp, copyDir(p.Mark, suffix))
	c.remove = sync.OnceFunc(func() {
		if os.RemoveAll(dir) == nil { //nolint:gosec // TMPDIR is the runner's word; cleanup tries again
			forget()
		}
	})
	if err := os.Mkdir(dir, 0o700); err != nil { //nolint:gosec // likewise
		return c, err
	}
	c.path = filepath.Join(dir, filepath.Base(path))
	dst, err := os.OpenFile(c.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700) //nolint:gosec // likewise
	if err != nil {
		return c, err
	}
	err = writeCopy(dst, src, filepath.Base(path), vars)
	return c, errors.Join(err, dst.Close())
}

func writeCopy(dst io.Writer, src io.ReadSeeker, name string, vars []variable) error {
	first := make([]byte, maxFirstLine)
	n, err := io.ReadFull(src, first)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	head, body, err := inject(first[:n], name, vars)
	if err != nil {
		return err
	}
	if _, err := dst.Write(head); err != nil {
		return err
	}
	// The rest goes from file to file by the kernel.
	if _, err := src.Seek(int64(body), io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return err
}

// removeCopies removes what stages that were killed have left of a job's
// copies. With an unknown TMPDIR there is nothing to do: the runner has removed
// it.
func removeCopies(mark string) error {
	tmp := os.Getenv("TMPDIR")
	if !filepath.IsAbs(tmp) || mark == "" {
		return nil
	}
	entries, err := os.ReadDir(tmp)
	if err != nil {
		return nil //nolint:nilerr // a TMPDIR that is gone took the copies with it
	}
	var errs []error
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), copyPrefix+mark+"-") {
			errs = append(errs, os.RemoveAll(filepath.Join(tmp, e.Name()))) //nolint:gosec // likewise; follows no symbolic link
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove copies of the job's scripts: %w", err)
	}
	return nil
}
