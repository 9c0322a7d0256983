// Command envrole-run is the run stage of the EnvRole custom executor driver.
package main

import (
	"os"

	"envrole/executor/docker/agent"
	"envrole/executor/shell"
	"envrole/internal/stage"
	"envrole/internal/stage/run"
	"envrole/internal/vend"
)

func main() {
	// The init of an isolated job's namespaces is this program.
	if code, mine := shell.IsolateMain(os.Args); mine {
		os.Exit(code)
	}
	// In a container this program is the docker base's agent.
	if code, mine := agent.Main(os.Args); mine {
		os.Exit(code)
	}
	// A job's credential_process is this program, as the job's user.
	if code, mine := vend.ClientMain(os.Args, os.Stdout, os.Stderr); mine {
		os.Exit(code)
	}
	os.Exit(stage.Main(run.Stage(), os.Args[1:]))
}
