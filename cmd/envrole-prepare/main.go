// Command envrole-prepare is the prepare stage of the EnvRole custom executor driver.
package main

import (
	"os"

	"envrole/executor/shell"
	"envrole/internal/stage"
	"envrole/internal/stage/prepare"
)

func main() {
	// The metadata probe runs as the job's user, in a child of this program.
	if shell.ProbeMain(os.Args) {
		return
	}
	os.Exit(stage.Main(prepare.Stage(), os.Args[1:]))
}
