package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"envrole/roles/fault"
)

// claimsDir is the one place of a host where every state directory writes down
// which uid it gives to a job, in a file for each: two that name one user would
// else end each other's jobs. It is root's alone, and stays when the host starts
// anew, as the records in state directories do.
//
// A claim is the path of a record (NAME.json in a state directory), and holds
// while that record exists. So it ends with the job's cleanup, or with the state
// directory, and needs none of its own.
var claimsDir = "/var/lib/envrole-users"

// maxClaim bounds what is read of one: a path, quoted.
const maxClaim = 4*unix.PathMax + 3

// claim is a uid's claim, locked: nobody else ends, cleans or gives away the uid.
type claim struct {
	uid int
	f   *os.File
}

// claimUID locks the claim of a uid. It waits as long as wait; errTaken then says
// that another holds it.
func claimUID(ctx context.Context, uid int, wait time.Duration) (*claim, error) {
	if err := makeClaims(); err != nil {
		return nil, claimFault(uid, err)
	}
	f, err := os.OpenFile(filepath.Join(claimsDir, strconv.Itoa(uid)), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, claimFault(uid, err)
	}
	switch err := lockFile(ctx, f, unix.LOCK_EX, wait); {
	case errors.Is(err, errTaken) || ctx.Err() != nil:
		f.Close()
		return nil, fmt.Errorf("claim uid %d: %w", uid, err)
	case err != nil:
		f.Close()
		return nil, claimFault(uid, err)
	}
	return &claim{uid, f}, nil
}

func (c *claim) release() { c.f.Close() }

func makeClaims() error {
	if err := os.Mkdir(claimsDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(claimsDir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || !trusted(st.Uid) || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s: not a directory of root's alone", claimsDir)
	}
	return nil
}

// elsewhere says which other record has the uid, or "".
func (c *claim) elsewhere(own string) (holder string, err error) {
	text := make([]byte, maxClaim)
	n, err := c.f.ReadAt(text, 0)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return "", claimFault(c.uid, err)
	case n == 0:
		return "", nil
	}
	line, _, _ := bytes.Cut(text[:n], []byte{'\n'})
	path, err := strconv.Unquote(string(line))
	if err != nil {
		return "", claimFault(c.uid, errors.New("it is not what prepare wrote"))
	}
	if sameRecord(path, own) {
		return "", nil
	}
	switch _, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return "", nil
	case err != nil:
		return "", claimFault(c.uid, err)
	}
	return fmt.Sprintf("has a job by %s, of another state directory (`envrole sweep` with a configuration that names that directory frees it, if the job is dead)", path), nil
}

// sameRecord says whether two paths are of one record, whether it exists or not.
func sameRecord(a, b string) bool {
	if a == b {
		return true
	}
	dirA, errA := os.Stat(filepath.Dir(a))
	dirB, errB := os.Stat(filepath.Dir(b))
	return errA == nil && errB == nil && os.SameFile(dirA, dirB) && filepath.Base(a) == filepath.Base(b)
}

// write puts down the record that has the uid from now on. It is one line in a
// file that stays, since others wait for the lock of this very file.
func (c *claim) write(record string) error {
	line := []byte(strconv.Quote(record) + "\n")
	_, err := c.f.WriteAt(line, 0)
	if err == nil {
		err = c.f.Truncate(int64(len(line)))
	}
	if err != nil {
		_ = c.f.Truncate(0) // half a path would bar the user for ever
		return claimFault(c.uid, err)
	}
	return nil
}

// claimOf claims the uid of a tenancy for its end: what has the uid by another
// state directory's word is not what this job left.
func (b book) claimOf(ctx context.Context, t tenancy) (*claim, error) {
	c, err := claimUID(ctx, t.UID, longWait)
	if err != nil {
		return nil, err
	}
	holder, err := c.elsewhere(b.path(t.User, recordEnding))
	if err == nil && holder != "" {
		err = fmt.Errorf("uid %d %s", t.UID, holder)
	}
	if err != nil {
		c.release()
		return nil, err
	}
	return c, nil
}

func (b book) killAll(ctx context.Context, t tenancy) error {
	c, err := b.claimOf(ctx, t)
	if err != nil {
		return err
	}
	defer c.release()
	return killAllOf(t.UID)
}

func claimFault(uid int, err error) error {
	return fault.New(fault.Internal, "keep claim of uid", strconv.Itoa(uid), err,
		"Claims keep two state directories from giving one user of executor.shell.users to two jobs. They lie in "+claimsDir+", which must be root's, writable, and have room.")
}
