// Package executor is what runs a job's scripts. A base executor (shell, later
// docker and any wrapped driver) takes a script, an environment and a writer;
// it knows nothing of roles, sessions or AWS.
package executor

import (
	"context"
	"fmt"
	"io"
)

// Script is one sub-stage's script as GitLab Runner wrote it.
type Script struct {
	Path     string // file that the runner made, mode 0700
	SubStage string // "get_sources", "build_script", ...
}

// Executor runs the scripts of one job. Prepare, Run and Cleanup are called in
// different processes; an implementation keeps nothing in memory between them.
type Executor interface {
	// Prepare readies what the job needs, before any of its code runs.
	Prepare(ctx context.Context) error
	// Run runs one script to its end. env is added to the environment that
	// the base builds for the job ("K=v", the last one wins). Everything the
	// script writes goes to out. A script that ends with a code other than 0
	// gives an *ExitError. When ctx ends, the script's whole process tree is
	// ended before Run returns.
	Run(ctx context.Context, script Script, env []string, out io.Writer) error
	// Cleanup removes what is left of the job. It may be called without a
	// successful Prepare, and twice.
	Cleanup(ctx context.Context) error
}

// ExitError says that the script itself failed, with its exit code (1-255).
type ExitError struct{ Code int }

func (e *ExitError) Error() string { return fmt.Sprintf("script ended with exit code %d", e.Code) }
