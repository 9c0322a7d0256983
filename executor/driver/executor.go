package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"envrole/executor"
)

var _ executor.Executor = (*Executor)(nil)

// Executor runs the programs of the wrapped driver for one job.
type Executor struct{ plan Plan }

// Prepare implements executor.Executor.
func (e *Executor) Prepare(ctx context.Context, log io.Writer) error {
	if len(e.plan.Prepare) == 0 {
		return nil
	}
	return command{what: "prepare", argv: e.plan.Prepare, env: e.plan.environ()}.run(ctx, log, nil, nil)
}

// Run implements executor.Executor, with command.run's errors: whether a code is
// the script's or the driver's own is for the driver to know. Without env the
// driver gets the runner's own file.
func (e *Executor) Run(ctx context.Context, script executor.Script, env []string, out io.Writer) error {
	what := "run " + script.SubStage
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	path, environ, remove := script.Path, e.plan.environ(), func() {}
	if len(env) > 0 {
		vars, err := variables(env)
		if err != nil {
			return err
		}
		if e.plan.Inject != InjectEnv {
			c, err := e.plan.copyScript(script.Path, vars)
			if err != nil {
				return err
			}
			defer c.remove()
			path, remove = c.path, c.remove
		}
		if e.plan.Inject != InjectScript {
			environ = append(environ, shown(env)...)
		}
	}
	argv := slices.Concat(e.plan.Run, []string{path, script.SubStage})
	return command{what: what, argv: argv, env: environ}.run(ctx, out, nil, remove)
}

// Cleanup implements executor.Executor. It runs though ctx has ended: it is the
// one chance that what the driver made is removed. What a killed stage left of
// script copies goes first.
func (e *Executor) Cleanup(ctx context.Context, stdout, stderr io.Writer) error {
	err := errors.Join(removeCopies(e.plan.Mark), e.plan.forgetCopies(context.WithoutCancel(ctx)))
	if len(e.plan.Cleanup) == 0 {
		return err
	}
	c := command{what: "cleanup", argv: e.plan.Cleanup, env: e.plan.environ()}
	return errors.Join(c.run(context.WithoutCancel(ctx), stdout, stderr, nil), err)
}
