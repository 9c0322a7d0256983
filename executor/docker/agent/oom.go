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

// victim is by how many thousandths of the memory a script counts as larger than
// it is, when the kernel looks for a process to end.
const victim = 200

// ratherThanThis makes what this process starts, until the returned function is
// called, go before it where memory ends: it has to say how the script ended.
// Without the right to do that nothing is changed.
func ratherThanThis() (restore func()) {
	was, ok := adjustment()
	if !ok || adjust(min(was+victim, 1000)) != nil {
		return func() {}
	}
	return func() { _ = adjust(was) }
}

// adjustmentFile is how much larger than it is this process counts.
const adjustmentFile = "/proc/self/oom_score_adj"

func adjustment() (thousandths int, ok bool) {
	b, err := os.ReadFile(adjustmentFile)
	if err != nil {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	return n, err == nil
}

func adjust(thousandths int) error {
	return os.WriteFile(adjustmentFile, []byte(strconv.Itoa(thousandths)), 0)
}
