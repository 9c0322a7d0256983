// Package executor is what runs a job's scripts. A base executor (shell, docker
// or any wrapped driver) takes a script, an environment and a writer; it knows
// nothing of roles, sessions or AWS.
package executor

import (
	"context"
	"fmt"
	"io"
	"net"
)

// Script is one sub-stage's script as GitLab Runner wrote it.
type Script struct {
	Path     string // file that the runner made, mode 0700
	SubStage string // "get_sources", "build_script", ...
	// Shared are directories of this stage that the script must find at their
	// path, also where the base gives it a /tmp of its own.
	Shared []string
	// Ended, if not nil, is called when the script itself has ended, while what
	// it left behind may not have. A base need not call it.
	Ended func()
}

// Executor runs the scripts of one job. Prepare, Run and Cleanup are called in
// different processes; an implementation keeps nothing in memory between them.
type Executor interface {
	// Prepare readies what the job needs, before any of its code runs. What it
	// writes to log is shown in the job's log.
	Prepare(ctx context.Context, log io.Writer) error
	// Run runs one script to its end. env is added to the environment that
	// the base builds for the job ("K=v", the last one wins); it is empty for
	// a script that gets no credentials. Everything the script writes goes to
	// out. A script that ends with a code other than 0 gives an *ExitError.
	// When ctx ends, the script's whole process tree is ended before Run
	// returns.
	Run(ctx context.Context, script Script, env []string, out io.Writer) error
	// Cleanup removes what is left of the job. It may be called without a
	// successful Prepare, and twice. The runner shows stdout at its level
	// debug and stderr at warning, both in its own log.
	Cleanup(ctx context.Context, stdout, stderr io.Writer) error
}

// LocalUser is an Executor whose scripts run on this host as a user of their
// own: no file that decides or brings a session may be that user's to write.
type LocalUser interface {
	// JobUser gives the ids of the job's user; other is false if that is the
	// runner's own.
	JobUser() (user User, other bool)
}

// User is a user of this host.
type User struct {
	UID, GID int
	Groups   []int // supplementary
}

// Loopback is an Executor whose scripts have a loopback of their own, not this
// host's.
type Loopback interface {
	// Listen listens on a free port of 127.0.0.1 where the author's scripts run,
	// for them alone, until the listener is closed. ctx bounds the beginning.
	Listen(ctx context.Context) (net.Listener, error)
}

// Guaranteed is an Executor that can say what ends the processes of its job.
type Guaranteed interface {
	// Guarantee is a word for the audit log, "cgroup" for example.
	Guarantee() string
}

// ExitError says that the script itself failed, with its exit code (1-255).
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return fmt.Sprintf("script ended with exit code %d", e.Code) }

// StageError says that the base has said all there is to say, and that the
// stage ends with exactly this exit code: a wrapped driver has its own way of
// telling the runner of a failure.
type StageError struct{ Code int }

func (e *StageError) Error() string {
	return fmt.Sprintf("the wrapped driver ended with exit code %d", e.Code)
}
