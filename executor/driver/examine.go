package driver

import (
	"fmt"
	"os"
	"os/exec"

	"envrole/roles/settings/schema"
)

// Examine looks on this host for the wrapped driver, for `envrole check`: what
// would keep a job from running, or a role from being lent to it. All of it is
// worth a warning only, since the file may be for another host, or the runner of
// another user than who asks.
func (Base) Examine(v schema.Values, n schema.Notes) {
	for _, key := range commandKeys() {
		argv := v.Texts(key)
		if len(argv) == 0 {
			continue
		}
		if _, err := exec.LookPath(argv[0]); err != nil {
			n.Warn(key, fmt.Sprintf("on this host: %v; install the wrapped driver, and see that the runner's user may run it", err))
			continue
		}
		for _, path := range filesOf(argv) {
			why, err := changeable(path, os.Geteuid())
			switch {
			case err != nil:
				n.Warn(key, fmt.Sprintf("on this host: who may write %s cannot be told: %v", path, err))
			case why != "":
				n.Warn(key, "on this host no role is lent: "+why+"; give the file and every directory above it to root, not writable by others")
			}
		}
	}
}
