package prepare

import (
	"context"

	"envrole/internal/stage"
	"envrole/roles/lease"
)

// BaseStage is the end of the prepare stage alone, for bases whose libraries
// this program's lean twin does not link: everything is decided and sealed, and
// the base readies what the job needs.
func BaseStage() stage.Stage {
	return stage.Stage{
		Name:  "envrole stage prepare",
		About: "The end of the prepare stage, for base executors that envrole-prepare does not link; it calls this.",
		Run: func(ctx context.Context, call stage.Call) error {
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
			if err != nil {
				return err
			}
			return base.Prepare(ctx, call.Stdout)
		},
	}
}
