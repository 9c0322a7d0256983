package executor

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"envrole/roles/settings/schema"
)

// Base is one kind of executor: executor.base of the configuration names it.
// Its methods are called in different processes and keep nothing in memory
// between them; what the later stages must know of a job is in its plan.
type Base interface {
	// Table describes [executor.NAME] and gives the base its name. It is a
	// constant: it does no I/O.
	Table() schema.Table
	// Announce is called in the config stage, before anything is decided. What
	// the base writes goes to the job's log.
	Announce(ctx context.Context, job Job, log io.Writer) (Announcement, error)
	// Plan is called in the prepare stage, before any code of the job runs and
	// before it is decided whether the job gets a role. It settles how the job
	// runs. What it returns is kept sealed and given to Open in this and every
	// later stage. Fields may be added to it; a missing one must mean what an
	// older EnvRole did. It may hold no session.
	Plan(ctx context.Context, job Job) (json.RawMessage, error)
	// MayLend says whether a role may be lent to a job of this plan: nil, or a
	// refusal that names what the administrator mends. Authority lists every
	// path of this host that decides what a job may do.
	MayLend(ctx context.Context, job Job, plan json.RawMessage, authority []string) error
	// Open makes the executor of a plan. It does no I/O. ErrElsewhere says that
	// this program does not link what the base needs.
	Open(plan json.RawMessage) (Executor, error)
	// Lost makes an executor for Cleanup alone, for a job of which nothing is
	// left but its lease: of job, only LeaseID, StateDir, Values and PassEnv
	// are known.
	Lost(job Job) (Executor, error)
}

// Sweeper is a Base that can find what is left of dead jobs without being told
// which: `envrole sweep` calls it.
type Sweeper interface {
	// Sweep removes what belongs to jobs of this state directory whose lease
	// alive denies. It says on log what it removed. ErrUnreached says that it
	// could not look, because nobody answers where the base would keep things.
	Sweep(ctx context.Context, job Job, alive func(leaseID string) bool, log io.Writer) error
}

// Unnamed is a Base that has something to clean up after even where not so much
// as the lease of the job is known: the config stage failed, or the runner calls
// cleanup without job_env.
type Unnamed interface {
	// Unnamed makes an executor for Cleanup alone. Of job, only StateDir, Values
	// and PassEnv are known.
	Unnamed(job Job) (Executor, error)
}

// ErrElsewhere is what Open gives in a program that does not link the base's
// own libraries: `envrole stage` does.
var ErrElsewhere = errors.New("this base runs in the envrole program")

// ErrUnreached is what Sweep gives where nobody answers: of a base that is not
// configured that is no finding, since a host need not have what it runs on.
var ErrUnreached = errors.New("it cannot be reached")

// ErrRunnerGone is the cause by which Run's context ends when the runner was
// killed: nobody else ends the script then, nor signals the process group.
var ErrRunnerGone = errors.New("the runner process is gone")

// Job is what a base is told of a job. It holds no session and decides nothing
// about one.
type Job struct {
	LeaseID      string // names the job on this host; never shown to it
	JobID        int64
	ProjectID    int64 // from the payload's structured fields, above 0
	RefProtected bool  // true only where GitLab says so
	PayloadFile  string
	StateDir     string
	Values       schema.Values // of [executor.NAME]
	PassEnv      []string      // executor.pass_env

	// The rest is known from the prepare stage on, where the base decides.

	// Deadline is when the job must be over, whatever became of its runner.
	Deadline time.Time
	// Runner must live for the job to go on; PID 0 means that it is not known.
	Runner Process
	// Alive says whether the job of a lease may still go on, by what the
	// stages have written down; nil knows nothing. A job between its Plan and
	// its sealing is not written down yet.
	Alive func(leaseID string) bool
	// Private are paths of this host that are no business of any job.
	Private []string
}

// Process names one process of this host for good: a pid is used again, a pid
// with its start time (clock ticks since boot) is not.
type Process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"`
}

// Announcement is what the config stage tells the runner of a base. Empty
// fields are left out.
type Announcement struct {
	Driver            string // shown behind "envrole/" in the job's log, with the base's name
	DriverVersion     string
	Hostname          string
	BuildsDir         string
	CacheDir          string
	BuildsDirIsShared *bool
	// Shell is the runner's shell for the scripts: "bash", "pwsh", ...
	Shell string
	// JobEnv is added to the environment of the later stages. Its names must
	// not begin with ENVROLE_.
	JobEnv map[string]string
}
