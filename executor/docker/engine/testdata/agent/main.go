// Command agent is the agent alone, for tests: in a release it is envrole-run.
package main

import (
	"os"

	"envrole/executor/docker/agent"
)

func main() {
	if code, mine := agent.Main(os.Args); mine {
		os.Exit(code)
	}
	os.Exit(2)
}
