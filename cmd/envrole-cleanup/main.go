// Command envrole-cleanup is the cleanup stage of the EnvRole custom executor driver.
package main

import (
	"os"

	"envrole/internal/stage"
	"envrole/internal/stage/cleanup"
)

func main() { os.Exit(stage.Main(cleanup.Stage(), os.Args[1:])) }
