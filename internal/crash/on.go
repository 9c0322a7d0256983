//go:build crashpoints

// Package crash kills the process at a named point, for tests.
package crash

import (
	"os"
	"syscall"
)

// Point kills the process with SIGKILL if name is the chosen one.
func Point(name string) {
	if os.Getenv("ENVROLE_CRASH_AT") != name {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
