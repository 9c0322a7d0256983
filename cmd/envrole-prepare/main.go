// Command envrole-prepare is the prepare stage of the EnvRole custom executor driver.
package main

import (
	"os"

	"envrole/executor/shell"
	"envrole/internal/stage"
	"envrole/internal/stage/prepare"
	"envrole/internal/stage/refresh"
)

func main() {
	// The metadata probe runs as the job's user, in a child of this program.
	if shell.ProbeMain(os.Args) {
		return
	}
	// Namespaces are tried before the job begins.
	if code, mine := shell.IsolateMain(os.Args); mine {
		os.Exit(code)
	}
	// A run stage renews its job's session in a child that is this program.
	if refresh.Main(os.Args, os.Stdin, os.Stdout) {
		return
	}
	os.Exit(stage.Main(prepare.Stage(), os.Args[1:]))
}
