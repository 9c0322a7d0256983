package shell

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// record remembers that a user can reach no metadata service. Its text holds
// what that is true of: this start of the host, this network namespace, these
// addresses. Anything else in the file, or no file, means: try again.
type record struct {
	name, text string
}

func probeRecord(uid int, addrs []string) record {
	boot, err1 := os.ReadFile("/proc/sys/kernel/random/boot_id")
	netns, err2 := os.Readlink("/proc/self/ns/net")
	if err1 != nil || err2 != nil {
		return record{}
	}
	text := "v1 " + strings.TrimSpace(string(boot)) + " " + netns + " " + strings.Join(addrs, " ") + "\n"
	return record{name: strconv.Itoa(uid), text: text}
}

func (r record) file(stateDir string) string { return filepath.Join(stateDir, "metadata", r.name) }

func (r record) holds(stateDir string) bool {
	if r.name == "" {
		return false
	}
	b, err := os.ReadFile(r.file(stateDir))
	return err == nil && string(b) == r.text
}

// keep writes the record, whole or not at all. Without it the next job only
// tries again, so a failure is nobody's concern.
func (r record) keep(stateDir string) {
	if r.name == "" || os.MkdirAll(filepath.Join(stateDir, "metadata"), 0o700) != nil {
		return
	}
	tmp, err := os.CreateTemp(filepath.Join(stateDir, "metadata"), ".new-*")
	if err != nil {
		return
	}
	_, err = tmp.WriteString(r.text)
	if cerr := tmp.Close(); err == nil && cerr == nil {
		err = os.Rename(tmp.Name(), r.file(stateDir))
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
}
