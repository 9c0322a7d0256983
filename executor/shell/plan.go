package shell

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
}

// Options is what NewPlan makes a plan of.
type Options struct {
	Settings     Settings
	PassEnv      []string
	ProjectID    int64 // from the payload's structured fields, above 0
	RefProtected bool  // true only where GitLab says so
	LeaseID      string
}

// NewPlan resolves user, shell and directories. It touches nothing; Prepare
// does. Its errors are permanent faults: an administrator must mend them.
func NewPlan(o Options) (Plan, error) {
	if o.LeaseID == "" || o.ProjectID <= 0 {
		return Plan{}, fmt.Errorf("plan shell job: lease %t, project id %d: both must be known", o.LeaseID != "", o.ProjectID)
	}
	who, err := resolveUser(o.Settings.User, os.Geteuid())
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
	p.BuildsDir, p.CacheDir = BuildsDirs(o.Settings, p.Home, o.ProjectID, o.RefProtected)
	if self, ok := readProcess(os.Getpid()); ok {
		p.Since = self.start
	}
	if p.SwitchUser {
		// The runner's TMPDIR is its own, mode 0700. The name is made of the
		// lease id, so nobody can have put something else there before.
		p.TmpDir = filepath.Join("/tmp", "envrole-"+p.marker())
	}
	return p, nil
}

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
