// Package run is the run stage: one script of the job, with the session if its
// sub-stage gets it, its output through the log filter. It opens what prepare
// sealed and looks at nothing that the job could have rewritten. It makes no
// network call and does not link the AWS SDK.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"

	"envrole/executor"
	"envrole/executor/job"
	"envrole/executor/mask"
	"envrole/executor/shell"
	"envrole/internal/handover"
	"envrole/internal/stage"
	"envrole/roles/fault"
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

// metadataDisabled keeps SDKs from asking the metadata service for the
// runner's own role. It is a convenience for jobs, not a boundary.
const metadataDisabled = "AWS_EC2_METADATA_DISABLED=true"

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
	state, err := open(ledger, handed)
	if err != nil {
		return err
	}
	if state.Session != nil {
		// While a script runs, no sweep may take its job for gone.
		release, err := ledger.Hold(handed.LeaseID) //nolint:contextcheck // waits for a moment only, bounded by itself
		if err != nil {
			return err
		}
		defer release()
	}
	env, secrets, err := environment(ledger, handed.LeaseID, script.SubStage, state.Session)
	if err != nil {
		return err
	}
	filter, err := mask.New(call.Stdout, secrets...)
	if err != nil {
		return err
	}
	err = shell.New(state.Shell).Run(ctx, script, env, filter)
	return finish(call, err, filter.Flush())
}

// open reads what prepare sealed for this job.
func open(ledger *lease.Ledger, handed stage.Handed) (handover.State, error) {
	const help = "Without it nothing says how this job may run. If prepare succeeded, something removed or changed the file in the state directory; the job can be retried."
	blob, err := ledger.ReadSealed(handed.LeaseID)
	if errors.Is(err, lease.ErrNotFound) {
		// A revocation destroys the sealed session: say that, if it was one.
		if le, getErr := ledger.Get(handed.LeaseID); getErr == nil && le.State != lease.Lent {
			return handover.State{}, takenBack(le)
		}
	}
	if err != nil {
		return handover.State{}, fault.New(fault.Internal, "read sealed state of lease", handed.LeaseID, err, help)
	}
	state, err := handover.Open(handed.Key, handed.LeaseID, blob)
	if err != nil {
		return handover.State{}, fault.New(fault.Internal, "open sealed state of lease", handed.LeaseID, err, help)
	}
	return state, nil
}

// environment is what the sub-stage gets besides the base's own environment,
// and which values its output must not show. Secrets are filtered in every
// sub-stage: a user script may have written them into a file that a later one
// prints.
func environment(ledger *lease.Ledger, id, subStage string, session *handover.Session) (env, secrets []string, err error) {
	env = []string{metadataDisabled}
	if session == nil {
		return env, nil, nil
	}
	if !executor.GetsCredentials(subStage, session.SubStages) {
		return env, session.Secrets(), nil
	}
	le, err := ledger.Get(id)
	if err != nil {
		return nil, nil, fault.New(fault.Internal, "read lease", id, err, "")
	}
	if le.State != lease.Lent {
		return nil, nil, takenBack(le)
	}
	return append(env, session.Env()...), session.Secrets(), nil
}

// takenBack is the end of a job whose session is not lent any more.
func takenBack(le lease.Lease) error {
	return fault.New(fault.Internal, "use lease", le.ID, fmt.Errorf("its state is %q: the session was taken back", le.State),
		"A cleanup, a sweep or an administrator closed this job's lease; retry the job if it was not meant to end.")
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
