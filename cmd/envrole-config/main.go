// Command envrole-config is the config stage of the EnvRole custom executor driver.
package main

import (
	"os"

	"envrole/internal/stage"
	"envrole/internal/stage/config"
)

func main() { os.Exit(stage.Main(config.Stage(), os.Args[1:])) }
