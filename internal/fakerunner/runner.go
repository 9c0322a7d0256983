// Package fakerunner calls the four stage binaries as GitLab Runner's custom
// executor does: process groups, environment, temporary directories, retries,
// time limits, exit codes. It is a stand-in for tests and the demo and is
// never linked into a stage binary.
package fakerunner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// The exit codes that the runner tells its driver to use.
const (
	buildFailure  = 1
	systemFailure = 2
)

// Runner is one [[runners]] entry with a [runners.custom] section.
type Runner struct {
	ConfigExec, PrepareExec, RunExec, CleanupExec []string

	// Environ is the environment of the runner's own process.
	Environ []string
	// TempDir is where the per-attempt directories are made.
	TempDir string

	// Attempts at config + prepare; the runner makes 3.
	Attempts int
	// RetryDelay between them; the runner waits 3 s.
	RetryDelay time.Duration
	// GracefulKill is the time from SIGTERM to SIGKILL; 10 min in the runner.
	GracefulKill time.Duration
	// StageTimeout bounds config, prepare and cleanup; 1 h in the runner.
	StageTimeout time.Duration

	// WithoutExitCodeFile is a runner older than 17.9: BUILD_EXIT_CODE_FILE is
	// not set.
	WithoutExitCodeFile bool
	// StageEnv adds variables to the calls of one stage ("prepare", "run:build_script"); for tests.
	StageEnv map[string][]string
	// BeforeCleanup runs between the last script and cleanup; for tests.
	BeforeCleanup func() `json:"-"`
	// PlainScripts leaves out the exports of the job's variables; for tests of
	// what the driver itself sets.
	PlainScripts bool
	// Tee also gets the job's log, as it is written; for tests of what shows
	// when.
	Tee io.Writer `json:"-"`
	// SkipCleanup is a runner that was killed before it could clean up.
	SkipCleanup bool
}

// SubStage is one script of the run stage.
type SubStage struct {
	Name   string
	Script string // the author's commands, or the runner's own for the other sub-stages
}

// Job is what the runner got from GitLab, and the scripts that it makes of it.
type Job struct {
	Payload   []byte // the job response
	SubStages []SubStage
	Timeout   time.Duration // of the scripts; 0 is none
}

// State is how a job ended.
type State string

// The ends of a job.
const (
	Success       State = "success"
	ScriptFailure State = "script_failure"
	SystemFailure State = "runner_system_failure"
	Canceled      State = "canceled"
)

// Result is how a job ended and what was written meanwhile.
type Result struct {
	State    State
	ExitCode int    // of the script, with ScriptFailure
	Err      error  // why, for ScriptFailure and SystemFailure
	Log      string // the job's log: config's stderr, prepare and run
	Cleanup  string // what cleanup wrote: the runner's own log
	Config   ConfigOutput
	Attempts int
}

// ConfigOutput is what the runner reads from config_exec.
type ConfigOutput struct {
	Driver struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"driver"`
	BuildsDir         string            `json:"builds_dir"`
	CacheDir          string            `json:"cache_dir"`
	BuildsDirIsShared bool              `json:"builds_dir_is_shared"`
	Shell             string            `json:"shell"`
	JobEnv            map[string]string `json:"job_env"`
}

// attempt is one try at a job: its own directory, payload file and job_env.
type attempt struct {
	*Runner
	dir       string
	variables []string // CUSTOM_ENV_*
	jobEnv    []string
	log       io.Writer
}

// Run runs a job to its end and cleans up. A canceled ctx ends the script as a
// user's cancel does; cleanup runs all the same.
func (r *Runner) Run(ctx context.Context, job Job) Result {
	var log, cleanupLog bytes.Buffer
	var to io.Writer = &log
	if r.Tee != nil {
		to = io.MultiWriter(&log, r.Tee)
	}
	res := r.run(ctx, job, to, &cleanupLog)
	res.Log, res.Cleanup = log.String(), cleanupLog.String()
	return res
}

func (r *Runner) run(ctx context.Context, job Job, log, cleanupLog io.Writer) Result {
	var res Result
	for {
		res.Attempts++
		a, err := r.begin(job, log)
		if err != nil {
			return Result{State: SystemFailure, Err: err, Attempts: res.Attempts}
		}
		err = a.prepare(ctx, &res.Config)
		if err == nil {
			res.State, res.ExitCode, res.Err = a.runScripts(ctx, job)
			if r.BeforeCleanup != nil {
				r.BeforeCleanup()
			}
			a.cleanup(cleanupLog)
			return res
		}
		a.cleanup(cleanupLog)
		var build *buildError
		if errors.As(err, &build) {
			res.State, res.ExitCode, res.Err = ScriptFailure, build.code, err
			return res
		}
		if ctx.Err() != nil {
			res.State, res.Err = Canceled, ctx.Err()
			return res
		}
		if res.Attempts >= max(r.Attempts, 1) {
			res.State, res.Err = SystemFailure, err
			return res
		}
		fmt.Fprintf(log, "ERROR: Preparation failed: %v\nWill be retried in %v ...\n", err, r.RetryDelay)
		time.Sleep(r.RetryDelay)
	}
}

func (r *Runner) begin(job Job, log io.Writer) (*attempt, error) {
	dir, err := os.MkdirTemp(r.TempDir, "custom-executor")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "response.json"), job.Payload, 0o600); err != nil {
		return nil, err
	}
	vars, err := customEnv(job.Payload)
	if err != nil {
		return nil, err
	}
	return &attempt{Runner: r, dir: dir, variables: vars, log: log}, nil
}

// customEnv is every variable of the job as CUSTOM_ENV_*, duplicates included:
// the last one wins when the process is started.
func customEnv(payload []byte) ([]string, error) {
	var p struct {
		Variables []struct{ Key, Value string } `json:"variables"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return nil, fmt.Errorf("read the payload's variables: %w", err)
	}
	env := make([]string, 0, len(p.Variables))
	for _, v := range p.Variables {
		env = append(env, "CUSTOM_ENV_"+v.Key+"="+v.Value)
	}
	return env, nil
}

func (a *attempt) prepare(ctx context.Context, out *ConfigOutput) error {
	if len(a.ConfigExec) > 0 {
		var stdout bytes.Buffer
		if err := a.call(ctx, "config", a.ConfigExec, &stdout, a.log, a.StageTimeout); err != nil {
			return err
		}
		if stdout.Len() > 0 {
			if err := json.Unmarshal(stdout.Bytes(), out); err != nil {
				return fmt.Errorf("parse config's JSON: %w", err)
			}
		}
		for k, v := range out.JobEnv {
			a.jobEnv = append(a.jobEnv, k+"="+v)
		}
		fmt.Fprintf(a.log, "Using Custom executor with driver %s %s...\n", out.Driver.Name, out.Driver.Version)
	}
	if len(a.PrepareExec) == 0 {
		return nil
	}
	return a.call(ctx, "prepare", a.PrepareExec, a.log, a.log, a.StageTimeout)
}

func (a *attempt) cleanup(log io.Writer) {
	if a.SkipCleanup {
		return
	}
	defer func() { _ = os.RemoveAll(a.dir) }()
	if len(a.CleanupExec) == 0 {
		return
	}
	if err := a.call(context.Background(), "cleanup", a.CleanupExec, log, log, a.StageTimeout); err != nil {
		fmt.Fprintln(log, "Cleanup script failed:", err)
	}
}
