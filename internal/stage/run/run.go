// Package run is the run stage: one script of the job, with the session if its
// sub-stage gets it, its output through the log filter. It opens what prepare
// sealed and looks at nothing that the job could have rewritten. It
// makes no network call and does not link the AWS SDK; a session that is about
// to end is renewed by a helper program.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"

	"envrole/executor"
	"envrole/executor/job"
	"envrole/executor/mask"
	"envrole/internal/stage"
	"envrole/roles/lease"
)

// Stage describes the program.
func Stage() stage.Stage {
	return stage.Stage{
		Name:  "envrole-run",
		Usage: "SCRIPT SUB_STAGE",
		About: "The run stage of EnvRole, a GitLab Runner custom executor driver.\nGitLab Runner calls it (run_exec in [runners.custom]) once per sub-stage of a job and adds the\nscript's path and the sub-stage's name.",
		NArgs: 2,
		Run:   run,
	}
}

func run(ctx context.Context, call stage.Call) error {
	script := executor.Script{Path: call.Args[0], SubStage: call.Args[1]}
	// One file serves all sub-stages and the runner never clears it: an old
	// code must not pass for this script's.
	if err := job.ClearExitCode(call.Runner.ExitCodeFile); err != nil {
		return err
	}
	handed, err := stage.ReadHanded()
	if err != nil {
		return err
	}
	ledger, err := lease.Open(handed.StateDir)
	if err != nil {
		return err
	}
	state, err := stage.OpenState(ledger, handed)
	if err != nil {
		return err
	}
	base, err := call.Known().Open(state.Base, state.Plan)
	if errors.Is(err, executor.ErrElsewhere) {
		return call.Become("run")
	}
	if err != nil {
		return err
	}
	var secrets []string
	if state.Session != nil {
		// While a script runs, no sweep may take its job for gone.
		release, err := ledger.Hold(handed.LeaseID) //nolint:contextcheck // waits for a moment only, bounded by itself
		if err != nil {
			return err
		}
		defer release()
		var quiet func()
		ctx, quiet = withRunner(ctx, ledger.Watch(handed.LeaseID))
		defer quiet()
		// Secrets are filtered in every sub-stage: a user script may have
		// written them into a file that a later one prints.
		secrets = state.Session.Secrets()
	}
	log := &jobLog{out: call.Stdout}
	defer log.end()
	filter, err := mask.New(log, secrets...)
	if err != nil {
		return err
	}
	d := &delivery{call: call, base: base, handed: handed, ledger: ledger, state: state, filter: filter, log: log}
	env, end, err := d.begin(ctx, script.SubStage)
	if err != nil {
		return err
	}
	defer end()
	script.Shared, script.Ended = d.shared, d.ended
	err = base.Run(ctx, script, env, filter)
	end()
	return finish(call, err, filter.Flush())
}

// finish turns the end of a script into the stage's own end.
func finish(call stage.Call, runErr, flushErr error) error {
	var exit *executor.ExitError
	if errors.As(runErr, &exit) {
		if err := job.WriteExitCode(call.Runner.ExitCodeFile, exit.Code); err != nil {
			return err
		}
		return &stage.ScriptFailure{Code: exit.Code}
	}
	if runErr != nil {
		return runErr
	}
	if flushErr != nil && !errors.Is(flushErr, io.ErrClosedPipe) {
		return fmt.Errorf("write the job's log: %w", flushErr)
	}
	return nil
}
