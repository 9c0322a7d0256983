package lease

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"envrole/roles/fault"
)

// The ledger's directories below the state directory.
const (
	leasesDir  = "leases"  // <id>.json: the records
	locksDir   = "locks"   // <id>.lock, <id>.hold, writer.lock
	sealedDir  = "sealed"  // <id>: hand-over blobs
	rolesDir   = "roles"   // <hash>.lock: one lock a role; <hash>.arn: its ARN
	writersDir = "writers" // <boot id>: the writer's name of that boot
	marksDir   = "marks"   // small facts that other rooms keep
)

// Ledger is an open state directory. It holds no file open and no state in
// memory: any number of processes and goroutines may use the same directory.
type Ledger struct {
	dir  string
	host Host
}

// Open opens the ledger in dir for this host, and creates it with mode 0700 if
// it is not there. It refuses (fault.Permanent) a directory that belongs to
// anybody but root and the own user, or that others can write: whoever writes
// leases decides which sessions are denied.
func Open(dir string) (*Ledger, error) { return OpenOn(dir, ThisHost()) }

// OpenOn is Open on a host that the caller describes.
func OpenOn(dir string, h Host) (*Ledger, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, ioFault("create state directory", dir, err)
	}
	// The directory itself may be an admin's symbolic link; what is below may not.
	info, err := os.Stat(dir)
	if err == nil {
		err = checkDir(dir, info)
	}
	if err != nil {
		return nil, ioFault("open state directory", dir, err)
	}
	for _, sub := range []string{leasesDir, locksDir, sealedDir, rolesDir, writersDir, marksDir} {
		p := filepath.Join(dir, sub)
		if err := os.Mkdir(p, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			// On a read-only or full disk an existing one still serves.
			if _, statErr := os.Lstat(p); statErr != nil {
				return nil, ioFault("create state directory", p, err)
			}
		}
		info, err := os.Lstat(p)
		if err == nil {
			err = checkDir(p, info)
		}
		if err != nil {
			return nil, ioFault("open state directory", p, err)
		}
	}
	return &Ledger{dir: dir, host: h}, nil
}

// Dir is the state directory.
func (l *Ledger) Dir() string { return l.dir }

// Host is the host that the ledger was opened on.
func (l *Ledger) Host() Host { return l.host }

func checkDir(path string, info os.FileInfo) error {
	help := "Give it to the user that runs the runner: chown USER " + path + " && chmod 0700 " + path
	if !info.IsDir() {
		return fault.New(fault.Permanent, "check state directory", path, errors.New("not a directory"), help)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fault.New(fault.Internal, "check state directory", path, errors.New("owner unknown"), "")
	}
	if uid := os.Geteuid(); st.Uid != 0 && int64(st.Uid) != int64(uid) {
		return fault.New(fault.Permanent, "check state directory", path,
			fmt.Errorf("belongs to uid %d, not to root or the own uid %d", st.Uid, uid),
			"Run this as the directory's owner (the user that the runner runs as), or: chown "+path)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fault.New(fault.Permanent, "check state directory", path, fmt.Errorf("mode %04o lets others write", mode), help)
	}
	return nil
}

func (l *Ledger) path(dir, name string) string { return filepath.Join(l.dir, dir, name) }

// ioFault gives a file error its class and says what to do about it.
func ioFault(op, path string, err error) error {
	var classified *fault.Error
	if err == nil || errors.As(err, &classified) {
		return err
	}
	class, help := fault.Internal, ""
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		class = fault.Passing
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		help = "The disk (or quota) of the state directory is full: free some space. Until then no role is lent."
	case errors.Is(err, syscall.EROFS):
		help = "The state directory is on a read-only file system: remount it writable or move [state] dir."
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		help = "The state directory must belong to the user that runs the runner."
	case errors.Is(err, syscall.EIO):
		help = "The disk of the state directory reports errors: check the hardware."
	}
	return fault.New(class, op, path, err, help)
}
