// Command envrole is the administrator's tool: it checks a configuration,
// explains decisions, lists leases and revokes sessions.
package main

import (
	"os"

	"envrole/internal/admin"
)

func main() { os.Exit(admin.Main(os.Args[1:], os.Stdout, os.Stderr)) }
