package shell

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cgroup is a job's own control group (version 2). Its members cannot leave it
// without the right to write to the groups above, so it holds also what
// survives a killed run stage. A nil *cgroup has no members.
type cgroup struct {
	path string
	dir  *os.File
}

// openCgroup makes the job's group below that of this process, or opens it.
// Where version 2 is not mounted, not ours to write, or older than cgroup.kill
// (Linux 5.14), it fails, and the tree of processes has to do.
func openCgroup(marker string) (*cgroup, error) {
	path, err := cgroupPath(marker)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return cgroupAt(path)
}

// existingCgroup opens the job's group, and does not make it.
func existingCgroup(marker string) (*cgroup, error) {
	path, err := cgroupPath(marker)
	if err != nil {
		return nil, err
	}
	return cgroupAt(path)
}

func cgroupAt(path string) (*cgroup, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	g := &cgroup{path: path, dir: dir}
	if _, err := os.Stat(filepath.Join(path, "cgroup.kill")); err != nil {
		g.remove()
		return nil, err
	}
	return g, nil
}

func cgroupPath(marker string) (string, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	dir, err := ownCgroup(string(own), string(mounts))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "envrole-"+marker), nil
}

// ownCgroup finds this process's directory in the version 2 hierarchy, from the
// texts of /proc/self/cgroup and /proc/self/mountinfo.
func ownCgroup(own, mounts string) (string, error) {
	for line := range strings.Lines(own) {
		path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::")
		if !ok || strings.HasPrefix(path, "/..") { // outside of our cgroup namespace
			continue
		}
		for mount := range strings.Lines(mounts) {
			left, right, _ := strings.Cut(mount, " - ")
			f := strings.Fields(left)
			if !strings.HasPrefix(right, "cgroup2 ") || len(f) < 5 {
				continue
			}
			root, point := f[3], f[4] // of the mount in the hierarchy, and where it is mounted
			rel, err := filepath.Rel(root, path)
			if err == nil && filepath.IsLocal(rel) {
				return filepath.Join(point, rel), nil
			}
		}
	}
	return "", errors.New("no control group of version 2 is at hand")
}

func (g *cgroup) fd() int { return int(g.dir.Fd()) }

// empty says whether no process, living or not, is in the group.
func (g *cgroup) empty() bool {
	if g == nil {
		return true
	}
	b, err := os.ReadFile(filepath.Join(g.path, "cgroup.events"))
	return err != nil || strings.Contains(string(b), "populated 0")
}

// members are the pids in the group and the groups below it.
func (g *cgroup) members() []int {
	if g == nil || g.empty() {
		return nil
	}
	root, err := os.OpenRoot(g.path)
	if err != nil {
		return nil
	}
	defer func() { _ = root.Close() }()
	var pids []int
	_ = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return nil //nolint:nilerr // a group may go away meanwhile
		}
		b, _ := root.ReadFile(path)
		for field := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}

// kill ends every member at once, also those that are just being forked.
func (g *cgroup) kill() {
	if g != nil {
		_ = os.WriteFile(filepath.Join(g.path, "cgroup.kill"), []byte("1"), 0)
	}
}

// remove closes the group and removes it if nothing is in it.
func (g *cgroup) remove() {
	if g != nil {
		_ = g.dir.Close()
		_ = os.Remove(g.path)
	}
}
