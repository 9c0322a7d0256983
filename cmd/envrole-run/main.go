// Command envrole-run is the run stage of the EnvRole custom executor driver.
package main

import (
	"os"

	"envrole/internal/stage"
	"envrole/internal/stage/run"
)

func main() { os.Exit(stage.Main(run.Stage(), os.Args[1:])) }
