package shell

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"envrole/executor"
	"envrole/roles/fault"
)

// usersDir is where the state directory says which job has which of
// executor.shell.users: NAME.json and NAME.lock for each.
const usersDir = "users"

// tenancyVersion is raised when an older EnvRole would misread a tenancy. It
// then leaves the user alone.
const tenancyVersion = 1

// tenancy says which job has a user. There is none of a free user.
type tenancy struct {
	Version  int              `json:"version"`
	User     string           `json:"user"`
	UID      int              `json:"uid"`
	Lease    string           `json:"lease"`
	JobID    int64            `json:"job_id"`
	Dir      string           `json:"dir"`      // the job's own directory
	Boot     string           `json:"boot"`     // boot id: another one has none of its processes
	PIDs     string           `json:"pids"`     // pid namespace in which Runner and Taker are numbers
	Mounts   string           `json:"mounts"`   // mount namespace of the stages: its /tmp is the job's
	Runner   executor.Process `json:"runner"`   // must live for the job to
	Taker    executor.Process `json:"taker"`    // the prepare stage: while it lives, nothing need be sealed yet
	Deadline time.Time        `json:"deadline"` // when the job must be over
	// Unclean is why what the job left could not be removed; the user is then
	// given to nobody. "" is nothing.
	Unclean string `json:"unclean,omitempty"`
}

// newTenancy is that of a job that this process prepares.
func newTenancy(job executor.Job, who account, dir string) tenancy {
	t := tenancy{
		Version: tenancyVersion, User: who.name, UID: who.uid, Lease: job.LeaseID, JobID: job.JobID, Dir: dir,
		Boot: bootID(), PIDs: namespace("pid"), Mounts: namespace("mnt"), Runner: job.Runner, Deadline: job.Deadline,
	}
	if self, ok := readProcess(os.Getpid()); ok {
		t.Taker = executor.Process{PID: self.pid, Start: self.start}
	}
	return t
}

// over says whether the tenancy's job is dead, and why; alive is what the
// stages have written down of jobs, or nil.
func (t tenancy) over(now time.Time, alive func(string) bool) (why string, dead bool) {
	switch {
	case t.Boot != bootID():
		return "the host has started anew", true
	case !t.Deadline.IsZero() && now.After(t.Deadline):
		return "its deadline has passed", true
	case t.PIDs != namespace("pid"):
		return "", false // its processes have other numbers here
	case t.Runner.PID > 1 && ended(t.Runner):
		return "its runner is gone", true
	case t.Taker.PID > 0 && ended(t.Taker) && alive != nil && !alive(t.Lease):
		return "nothing is written down of it any more", true
	}
	return "", false
}

// ended says whether a process has certainly ended.
func ended(p executor.Process) bool {
	now, ok := readProcess(p.PID)
	if !ok {
		_, err := os.Lstat(fmt.Sprintf("/proc/%d", p.PID))
		return errors.Is(err, fs.ErrNotExist)
	}
	return now.start != p.Start || now.zombie()
}

func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func namespace(kind string) string {
	name, err := os.Readlink("/proc/self/ns/" + kind)
	if err != nil {
		return ""
	}
	return name
}

// recordEnding is that of a tenancy's file.
const recordEnding = ".json"

// book is the tenancies of a state directory.
type book struct{ dir string }

func usersPath(stateDir string) string { return filepath.Join(stateDir, usersDir) }

func openBook(stateDir string) (book, error) {
	b := book{usersPath(stateDir)}
	if err := os.Mkdir(b.dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return b, b.fault("make", b.dir, err)
	}
	if info, err := os.Lstat(b.dir); err != nil || !info.IsDir() || info.Mode().Perm()&0o022 != 0 {
		return b, b.fault("open", b.dir, errors.Join(errors.New("not a directory of the runner's alone"), err))
	}
	return b, nil
}

func (b book) fault(op, what string, err error) error {
	return fault.New(fault.Internal, "keep record of job users", what, fmt.Errorf("%s: %w", op, err),
		"It lies in the state directory, which must belong to the user that runs the runner and have room.")
}

func (b book) path(user, ending string) string { return filepath.Join(b.dir, user+ending) }

// read gives the tenancy of a user, or nil if it is free. A record that cannot
// be read is an error: nobody knows what its job left.
func (b book) read(user string) (*tenancy, error) {
	text, err := os.ReadFile(b.path(user, recordEnding))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // free
	}
	if err != nil {
		return nil, b.fault("read", user, err)
	}
	var t tenancy
	if err := json.Unmarshal(text, &t); err != nil || t.User != user || t.UID <= 0 {
		return nil, b.fault("read", user, errors.New("it is not what prepare wrote"))
	}
	if t.Version > tenancyVersion {
		return nil, b.fault("read", user, errors.New("a newer EnvRole wrote it"))
	}
	return &t, nil
}

// write replaces the tenancy of its user, whole or not at all. The caller holds
// the user's lock.
func (b book) write(t tenancy) error {
	text, err := json.MarshalIndent(t, "", " ")
	if err != nil {
		return b.fault("write", t.User, err)
	}
	tmp := b.path(t.User, ".new-"+rand.Text())
	err = os.WriteFile(tmp, append(text, '\n'), 0o600)
	if err == nil {
		err = os.Rename(tmp, b.path(t.User, recordEnding))
	}
	if err != nil {
		_ = os.Remove(tmp)
		return b.fault("write", t.User, err)
	}
	return nil
}

// free ends the tenancy of a user. The caller holds the user's lock.
func (b book) free(user string) error {
	if err := os.Remove(b.path(user, recordEnding)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return b.fault("remove", user, err)
	}
	return nil
}

// users are those that have or had a record here.
func (b book) users() ([]string, error) {
	entries, err := os.ReadDir(b.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, b.fault("list", b.dir, err)
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), recordEnding); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

// find gives the tenancy of a lease, or nil.
func (b book) find(lease string) (*tenancy, error) {
	names, err := b.users()
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, name := range names {
		t, err := b.read(name)
		if err == nil && t != nil && t.Lease == lease {
			return t, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
