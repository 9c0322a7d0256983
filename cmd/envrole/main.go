// Command envrole is the administrator's tool: it checks a configuration,
// explains decisions, lists leases and revokes sessions.
package main

import (
	"os"

	"envrole/executor/shell"
	"envrole/internal/admin"
)

func main() {
	// `envrole stage` may run isolated jobs too.
	if code, mine := shell.IsolateMain(os.Args); mine {
		os.Exit(code)
	}
	os.Exit(admin.Main(os.Args[1:], os.Stdout, os.Stderr))
}
