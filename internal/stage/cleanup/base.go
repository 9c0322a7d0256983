package cleanup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"envrole/executor"
	"envrole/internal/handover"
	"envrole/internal/stage"
	"envrole/internal/stage/setup"
	"envrole/roles/fault"
)

// handedOn is what the lean cleanup gives to its full twin: the sealed state is
// gone by then.
type handedOn struct {
	Base string          `json:"base"`
	Plan json.RawMessage `json:"plan,omitempty"` // none if it is not known
}

// base removes what the base made for the job. Without the job's state the base
// goes by the lease's id and today's configuration; without that too, nothing is
// known of it.
//
// A base may show what the job wrote, the console of its machine for example: it
// goes through the log filter, since the runner's own log has other readers. may
// says that it may be shown: no session of the job is good any more, or the filter
// knows all that are.
func (c *cleaning) base(ctx context.Context, state handover.State, known, may bool) error {
	shown, err := output{stdout: c.call.Stdout, stderr: c.call.Stderr}, error(nil)
	switch {
	case may && state.Session != nil:
		shown, err = filtered(c.call.Stdout, c.call.Stderr, state.Session.Secrets())
	case !may:
		stage.Say(c.call.Stderr, "what the base executor writes is not shown: a session of the job may still be good, and the log filter does not know it")
		shown = output{stdout: io.Discard, stderr: io.Discard}
	}
	return errors.Join(err, c.baseTo(ctx, shown, state, known), shown.flush())
}

func (c *cleaning) baseTo(ctx context.Context, to output, state handover.State, known bool) error {
	on := handedOn{Base: state.Base, Plan: state.Plan}
	if !known {
		if c.conf == nil {
			return nil
		}
		on = handedOn{Base: c.conf.Executor.Base}
	}
	err := c.cleanBase(ctx, to, on)
	if errors.Is(err, executor.ErrElsewhere) {
		return c.elsewhere(ctx, to, on)
	}
	return err
}

func (c *cleaning) cleanBase(ctx context.Context, to output, on handedOn) error {
	base, err := c.call.Known().Named(on.Base)
	if err != nil {
		return err
	}
	var ex executor.Executor
	if on.Plan != nil {
		ex, err = base.Open(on.Plan)
	} else {
		ex, err = base.Lost(executor.Job{
			LeaseID: c.handed.LeaseID, StateDir: c.conf.State.Dir, Values: c.conf.Executor.Table(), PassEnv: c.conf.Executor.PassEnv,
		})
	}
	if err != nil {
		return err
	}
	return ex.Cleanup(ctx, to.stdout, to.stderr)
}

// unnamed cleans up after a job of which nothing at all is known, if the
// configured base can do anything about that.
func (c *cleaning) unnamed(ctx context.Context) error {
	if c.conf == nil {
		return nil
	}
	base, err := c.call.Known().Named(c.conf.Executor.Base)
	if err != nil {
		return err
	}
	u, ok := base.(executor.Unnamed)
	if !ok {
		return nil
	}
	ex, err := u.Unnamed(executor.Job{StateDir: c.conf.State.Dir, Values: c.conf.Executor.Table(), PassEnv: c.conf.Executor.PassEnv})
	if err != nil {
		return err
	}
	return ex.Cleanup(ctx, c.call.Stdout, c.call.Stderr)
}

// elsewhere has the full program do it. What it has to say it says itself.
func (c *cleaning) elsewhere(ctx context.Context, to output, on handedOn) error {
	program, err := stage.Elsewhere()
	if err != nil {
		return err
	}
	in, err := json.Marshal(on)
	if err != nil {
		return fmt.Errorf("clean up base: %w", err)
	}
	cmd := exec.CommandContext(ctx, program, "stage", "cleanup", "--config", c.call.ConfigFile) // #nosec G204 -- beside this program
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), to.stdout, to.stderr
	if err := cmd.Run(); err != nil {
		return fault.New(fault.Passing, "clean up base", on.Base, err, "What is left is removed by `envrole sweep`.")
	}
	return nil
}

// BaseStage is the base's part of the cleanup stage, for bases whose libraries
// the lean program does not link. It reads from standard input what is known.
func BaseStage() stage.Stage {
	return stage.Stage{
		Name:  "envrole stage cleanup",
		About: "The base's part of the cleanup stage, for base executors that envrole-cleanup does not link; it calls this.",
		Run: func(ctx context.Context, call stage.Call) error {
			handed, err := stage.ReadHanded()
			if handed.LeaseID == "" {
				return err
			}
			var on handedOn
			if err := json.NewDecoder(io.LimitReader(os.Stdin, maxHandedOn)).Decode(&on); err != nil {
				return fmt.Errorf("read what envrole-cleanup hands on: %w", err)
			}
			c := &cleaning{call: call, handed: handed}
			if on.Plan == nil {
				if c.conf, err = setup.Settings(call); err != nil {
					return err
				}
			}
			return c.cleanBase(ctx, output{stdout: call.Stdout, stderr: call.Stderr}, on) // filtered by who called
		},
	}
}

// maxHandedOn bounds what is read: plans are a few KiB.
const maxHandedOn = 16 << 20
