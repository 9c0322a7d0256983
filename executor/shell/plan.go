package shell

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"envrole/roles/fault"
)

// defaultGrace is used where a plan has none, as in one of an older version.
const defaultGrace = 10 * time.Second

// Plan is all that the base needs to know of a job. It is made in prepare from
// the configuration, kept sealed, and used again in run and cleanup. Fields may
// be added; a missing one must mean what an older EnvRole did.
type Plan struct {
	Shell      string        `json:"shell"`       // absolute path of bash or sh
	User       string        `json:"user"`        // login name of the job's user
	UID        int           `json:"uid"`         //
	GID        int           `json:"gid"`         // primary group
	Groups     []int         `json:"groups"`      // supplementary groups; only used with SwitchUser
	Home       string        `json:"home"`        // absolute
	SwitchUser bool          `json:"switch_user"` // UID is not the runner's own
	BuildsDir  string        `json:"builds_dir"`  // absolute, of this project and kind of ref
	CacheDir   string        `json:"cache_dir"`   // likewise
	TmpDir     string        `json:"tmp_dir"`     // private TMPDIR of the job; "" is the runner's own
	PassEnv    []string      `json:"pass_env"`    // names from the runner's environment
	Grace      time.Duration `json:"grace"`       // nanoseconds from SIGTERM to SIGKILL
	LeaseID    string        `json:"lease_id"`    // names the job on this host; never shown to it
	Since      uint64        `json:"since"`       // clock ticks since boot: no process of the job is older; 0 is not known

	Leased    bool     `json:"leased,omitempty"`    // User is the job's alone while it lasts
	StateDir  string   `json:"state_dir,omitempty"` // where it is written down whose User is; only with Leased
	JobDir    string   `json:"job_dir,omitempty"`   // the job's own directory; "" is none
	Isolation string   `json:"isolation,omitempty"` // "namespaces" or none
	Private   []string `json:"private,omitempty"`   // hidden from an isolated job
}

// Options is what NewPlan makes a plan of.
type Options struct {
	Settings     Settings
	PassEnv      []string
	ProjectID    int64 // from the payload's structured fields, above 0
	RefProtected bool  // true only where GitLab says so
	LeaseID      string
	StateDir     string   // only needed for users
	Private      []string // paths that an isolated job does not see
	// Leased is the one of Settings.Users that the job has. Without, a plan
	// names the first of them and is good for its paths alone.
	Leased *account
}

// NewPlan resolves user, shell and directories. It touches nothing; Prepare
// does. Its errors are permanent faults: an administrator must mend them.
func NewPlan(o Options) (Plan, error) {
	if o.LeaseID == "" || o.ProjectID <= 0 {
		return Plan{}, fmt.Errorf("plan shell job: lease %t, project id %d: both must be known", o.LeaseID != "", o.ProjectID)
	}
	who, err := o.account()
	if err != nil {
		return Plan{}, err
	}
	sh, err := findShell(o.Settings.Shell)
	if err != nil {
		return Plan{}, err
	}
	for _, name := range o.PassEnv {
		if why := refusedName(name); why != "" && name != "PATH" { // jobs have the runner's anyway
			return Plan{}, fault.New(fault.Permanent, "check", "executor.pass_env", fmt.Errorf("%q: %s", name, why),
				"Remove the name from pass_env; a job that needs the value gets it as a CI/CD variable.")
		}
	}
	p := Plan{
		Shell: sh, User: who.name, UID: who.uid, GID: who.gid, Groups: who.groups, Home: who.home,
		SwitchUser: who.uid != os.Geteuid(), PassEnv: o.PassEnv, Grace: o.Settings.Grace, LeaseID: o.LeaseID,
	}
	if p.Grace <= 0 {
		p.Grace = defaultGrace
	}
	if err := p.setApart(o); err != nil {
		return Plan{}, err
	}
	p.BuildsDir, p.CacheDir = BuildsDirs(o.Settings, p.Home, o.ProjectID, o.RefProtected)
	if self, ok := readProcess(os.Getpid()); ok {
		p.Since = self.start
	}
	if p.SwitchUser && p.TmpDir == "" {
		// The runner's TMPDIR is its own, mode 0700. The name is made of the
		// lease id, so nobody can have put something else there before.
		p.TmpDir = filepath.Join("/tmp", "envrole-"+p.marker())
	}
	return p, nil
}

// account is the job's user.
func (o Options) account() (account, error) {
	switch {
	case o.Leased != nil:
		return *o.Leased, nil
	case len(o.Settings.Users) > 0:
		return resolveUser(o.Settings.Users[0], os.Geteuid())
	}
	return resolveUser(o.Settings.User, os.Geteuid())
}

// setApart gives the job a directory of its own where it has a user of its own,
// or namespaces.
func (p *Plan) setApart(o Options) error {
	p.Leased = len(o.Settings.Users) > 0
	isolated := o.Settings.Isolation == Namespaces
	if !p.Leased && !isolated {
		return nil
	}
	if !p.SwitchUser {
		return fault.New(fault.Permanent, "keep apart", "jobs of user "+p.User, errors.New("that is the runner's own user"),
			"Run gitlab-runner as root and name users for jobs alone, or remove users and isolation from [executor.shell].")
	}
	if err := checkHomes(o, isolated); err != nil {
		return err
	}
	p.JobDir = filepath.Join(o.Settings.HomesDir, p.marker())
	p.TmpDir = filepath.Join(p.JobDir, tmpName)
	if p.Leased {
		p.StateDir, p.Home = o.StateDir, filepath.Join(p.JobDir, homeName)
	}
	if isolated {
		p.Isolation, p.Private = Namespaces, append(slices.Clone(o.Private), o.StateDir)
	}
	return nil
}

func (p Plan) isolated() bool { return p.Isolation == Namespaces }

// marker names the job on this host: in its environment, its TMPDIR and its
// cgroup. It is a digest, because the lease id itself is what a stage may act
// on and is no business of the job.
func (p Plan) marker() string {
	sum := sha256.Sum256([]byte("envrole shell job\x00" + p.LeaseID))
	return hex.EncodeToString(sum[:10])
}

// defaultPath is searched after the runner's own PATH.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// searchPath is the PATH of jobs: the absolute entries of the runner's own, so
// that the scripts find the gitlab-runner that calls them, then the usual ones.
func searchPath(own string) string {
	var dirs []string
	seen := map[string]bool{}
	for dir := range strings.SplitSeq(own+":"+defaultPath, ":") {
		if filepath.IsAbs(dir) && !seen[dir] {
			seen[dir] = true
			dirs = append(dirs, dir)
		}
	}
	return strings.Join(dirs, ":")
}

func findShell(name string) (string, error) {
	if name == "" {
		name = "bash"
	}
	if name != "bash" && name != "sh" {
		return "", fault.New(fault.Permanent, "find", "executor.shell.shell", fmt.Errorf("%q is not bash or sh", name), "Write \"bash\" or \"sh\".")
	}
	for dir := range strings.SplitSeq(searchPath(os.Getenv("PATH")), ":") {
		path, err := exec.LookPath(filepath.Join(dir, name))
		if err == nil {
			return path, nil
		}
	}
	return "", fault.New(fault.Permanent, "find", "executor.shell.shell", errors.New(name+" is in no directory of PATH"),
		"Install "+name+" on the runner's host, or set another shell.")
}
