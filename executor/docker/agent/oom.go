package agent

import (
	"os"
	"strconv"
	"strings"
)

// oomKills is how many processes of this container the kernel has ended for
// want of memory; 0 where it does not tell. The Engine knows it only of a
// container that has ended.
func oomKills() int {
	for _, file := range []string{"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"} {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name == "oom_kill" {
				if n, err := strconv.Atoi(value); err == nil {
					return n
				}
			}
		}
	}
	return 0
}
