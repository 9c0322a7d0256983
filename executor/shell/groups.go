package shell

import (
	"errors"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"envrole/roles/fault"
)

// rootGroups are groups whose members can become root: by a daemon that does
// what they say, by the disk below the file system, or by what they can read.
func rootGroups() []string {
	return []string{"root", "docker", "lxd", "incus-admin", "libvirt", "disk", "kmem", "shadow"}
}

// strongGroups may be more than a job needs: sudo may ask for a password or not,
// and adm reads the host's logs.
func strongGroups() []string {
	return []string{"sudo", "wheel", "admin", "adm", "systemd-journal", "kvm"}
}

// groupNames are the names of the plan's groups among those given.
func (p Plan) groupNames(among []string) []string {
	var names []string
	seen := map[string]bool{}
	for _, gid := range append([]int{p.GID}, p.Groups...) {
		g, err := user.LookupGroupId(strconv.Itoa(gid))
		if err != nil { // a gid without a name is no group that programs know
			continue
		}
		if slices.Contains(among, g.Name) && !seen[g.Name] {
			seen[g.Name] = true
			names = append(names, g.Name)
		}
	}
	return names
}

// checkGroups refuses a user that could become root.
func (p Plan) checkGroups() error {
	names := p.groupNames(rootGroups())
	if len(names) == 0 {
		return nil
	}
	return fault.New(fault.Refused, "lend a role to", "jobs of user "+p.User,
		errors.New("that user can become root by its groups: "+strings.Join(names, ", ")),
		"Administrator: take the user out of these groups (gpasswd --delete USER GROUP), or name another in [executor.shell].")
}
