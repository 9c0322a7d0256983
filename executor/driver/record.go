package driver

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// recordsDir, below the state directory, holds a record of each script copy that
// exists: where a stage and its runner are killed together, nothing else knows
// in which temporary directory the session lies. A record is named
// LEASE.SUFFIX, is written before the copy's directory is made, and is locked
// for as long as the stage lives. It is not synced: after a power cut the
// session is dead or soon will be.
const recordsDir = "scripts"

// copyRecord is the content of one. What is not in it follows from its name, so that
// no content makes a sweep remove what EnvRole did not make.
type copyRecord struct {
	Version int    `json:"version"`
	TempDir []byte `json:"tmpdir"` // the job's, without symbolic links; JSON would change a path that is no text
	File    []byte `json:"file"`   // the copy's name
	Boot    string `json:"boot"`
	Mounts  string `json:"mounts"` // the stage's mount namespace
}

const (
	recordVersion = 1
	// maxRecord bounds what is read, in bytes: a path has 4096 at most.
	maxRecord = 32 << 10
)

var (
	errSwept  = errors.New("a sweep took this job for dead")
	errBroken = errors.New("not a record of a script copy")
)

// copyDir names the directory of a copy.
func copyDir(mark, suffix string) string { return copyPrefix + mark + "-" + suffix }

// recorded writes the record of a copy that is about to be made in tmp. forget
// removes it, after the copy. The plan of an older EnvRole keeps none.
func (p Plan) recorded(tmp, file string) (suffix string, forget func(), err error) {
	suffix = rand.Text()
	if p.State == "" || p.Lease == "" {
		return suffix, func() {}, nil
	}
	real, err := filepath.EvalSymlinks(tmp)
	if err != nil {
		return "", nil, err
	}
	text, err := json.Marshal(copyRecord{Version: recordVersion, TempDir: []byte(real), File: []byte(file), Boot: bootID(), Mounts: mounts()})
	if err != nil {
		return "", nil, err
	}
	dir := filepath.Join(p.State, recordsDir)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", nil, err
	}
	d, err := openRecords(p.State)
	if err != nil {
		return "", nil, err
	}
	defer d.Close()
	path := filepath.Join(dir, p.Lease+"."+suffix)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // #nosec G304 -- of the state directory
	if err != nil {
		return "", nil, err
	}
	forget = func() {
		_ = os.Remove(path)
		_ = f.Close()
	}
	if err := hold(f, text); err != nil {
		forget()
		return "", nil, err
	}
	return suffix, forget, nil
}

// hold locks a new record and writes it.
func hold(f *os.File, text []byte) error {
	if err := flock(f, unix.LOCK_EX); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if st.Nlink == 0 {
		return errSwept
	}
	_, err := f.Write(text)
	return err
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// openRecords opens the directory of the records, if it is one that only root
// and this user can write.
func openRecords(state string) (*os.File, error) {
	d, err := os.OpenFile(filepath.Join(state, recordsDir), os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	err = unix.Fstat(int(d.Fd()), &st)
	if err == nil && !trusted(st) {
		err = fmt.Errorf("%s: others than root and the runner's user can write it", d.Name())
	}
	if err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// trusted says whether only root and this user can write a file.
func trusted(st unix.Stat_t) bool {
	return (st.Uid == 0 || int(st.Uid) == os.Geteuid()) && st.Mode&0o022 == 0
}

func bootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}

func mounts() string {
	name, _ := os.Readlink("/proc/self/ns/mnt")
	return name
}
