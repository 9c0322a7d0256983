package admin

import (
	"fmt"
	"io"

	"envrole/internal/bases/full"
	"envrole/internal/stage"
	"envrole/internal/stage/cleanup"
	"envrole/internal/stage/prepare"
	"envrole/internal/stage/run"
)

// stageCommand is the one that people do not call: a stage of a job whose base
// needs libraries that the lean stage programs do not link. They become it.
const stageCommand = "stage"

// runStage does a stage's work with every base at hand.
func runStage(args []string, stderr io.Writer) int {
	stages := map[string]func() stage.Stage{"prepare": prepare.BaseStage, "run": run.Stage, "cleanup": cleanup.BaseStage}
	if len(args) == 0 || stages[args[0]] == nil {
		fmt.Fprintln(stderr, "envrole stage: the stage programs call this; it is one of prepare, run and cleanup")
		return exitUsage
	}
	s := stages[args[0]]()
	s.Bases = full.Set()
	return stage.Main(s, args[1:])
}
