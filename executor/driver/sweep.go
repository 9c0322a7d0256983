package driver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"envrole/executor"
	"envrole/roles/fault"
)

var _ executor.Sweeper = Base{}

// Sweep implements executor.Sweeper: it removes the script copies of dead jobs,
// by what the stages have written down of them.
func (Base) Sweep(ctx context.Context, job executor.Job, alive func(leaseID string) bool, log io.Writer) error {
	return sweepRecords(ctx, job.StateDir, alive, log)
}

// sweepRecords removes the copies whose lease alive denies. A stage that still
// lives removes its own, whatever became of its lease.
func sweepRecords(ctx context.Context, state string, alive func(leaseID string) bool, log io.Writer) error {
	d, err := openRecords(state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.New(fault.Internal, "read records of script copies in", state, err, "")
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return fault.New(fault.Internal, "read records of script copies in", state, err, "")
	}
	var errs []error
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, context.Cause(ctx))...)
		}
		lease, suffix, ok := strings.Cut(name, ".")
		if !ok || !plain(lease) || !plain(suffix) || alive(lease) {
			continue
		}
		if err := sweepRecord(d, name, copyDir(mark(lease), suffix), log); err != nil {
			errs = append(errs, fault.New(fault.Internal, "remove the script copy of a dead job by", filepath.Join(d.Name(), name), err,
				"The session in it is of no use any more. The next job of the host, or `envrole sweep` as the runner's user in the runner's mount namespace, tries again; else remove the directory and the record by hand."))
		}
	}
	return errors.Join(errs...)
}

// forgetCopies removes what killed stages of this job have left, its records
// among it.
func (p Plan) forgetCopies(ctx context.Context) error {
	if p.State == "" || p.Lease == "" {
		return nil
	}
	return sweepRecords(ctx, p.State, func(leaseID string) bool { return leaseID != p.Lease }, io.Discard)
}

// plain says whether s can be part of a name that EnvRole made.
func plain(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// sweepRecord removes one copy and its record.
func sweepRecord(d *os.File, name, copied string, log io.Writer) error {
	f, err := openAt(d, name, unix.O_RDWR|unix.O_NONBLOCK)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := flock(f, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil // its stage is at it
	} else if err != nil {
		return err
	}
	r, owner, err := readRecord(f)
	if err != nil {
		return err
	}
	if r.Version != 0 { // else the stage died before it had made anything
		if err := r.remove(copied, owner, log); err != nil {
			return err
		}
	}
	err = unix.Unlinkat(int(d.Fd()), name, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// readRecord reads a record that only root or this user can have written. Its
// owner is who made the copy too.
func readRecord(f *os.File) (copyRecord, uint32, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return copyRecord{}, 0, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Nlink != 1 || !trusted(st) || st.Size > maxRecord {
		return copyRecord{}, 0, errBroken
	}
	b, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil || len(b) == 0 {
		return copyRecord{}, 0, err
	}
	var r copyRecord
	switch err := json.Unmarshal(b, &r); {
	case err != nil && !json.Valid(b): // half of it was written, and so no copy
		return copyRecord{}, 0, nil
	case err != nil:
		return copyRecord{}, 0, errBroken
	case r.Version != recordVersion:
		return copyRecord{}, 0, fmt.Errorf("%w of version %d", errBroken, r.Version)
	case !filepath.IsAbs(string(r.TempDir)) || !fileName(string(r.File)):
		return copyRecord{}, 0, errBroken
	}
	return r, st.Uid, nil
}

// fileName says whether s names a file within a directory.
func fileName(s string) bool { return s == filepath.Base(s) && s != "." && s != ".." && s != "/" }

// openAt opens a file of a directory, and follows no link.
func openAt(d *os.File, name string, how int) (*os.File, error) {
	fd, err := unix.Openat(int(d.Fd()), name, how|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: filepath.Join(d.Name(), name), Err: err}
	}
	return os.NewFile(uintptr(fd), filepath.Join(d.Name(), name)), nil
}
