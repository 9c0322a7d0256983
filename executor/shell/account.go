package shell

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"envrole/roles/fault"
)

// account is a user of the host, as numbers.
type account struct {
	name     string
	uid, gid int
	groups   []int
	home     string
}

// resolveUser finds the user that jobs run as: the named one, or the runner's
// own (euid) if name is empty. Root is never a job's user by name, and another
// user than the runner's own needs a runner that is root.
func resolveUser(name string, euid int) (account, error) {
	if name == "" {
		return ownAccount(euid)
	}
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, userFault(name, err, "Create it or correct the name in [executor.shell]. For users: useradd --system --no-create-home --home-dir /nonexistent "+name+"; for user: useradd --system --create-home "+name)
	}
	acc, err := toAccount(u)
	switch {
	case err != nil:
		return account{}, userFault(name, err, "Give the user numeric ids and a home directory.")
	case acc.uid == 0:
		return account{}, userFault(name, errors.New("has uid 0"),
			"Jobs of root could read everything the runner can. Make a user for jobs alone and name it in executor.shell.user.")
	case acc.uid != euid && euid != 0:
		return account{}, userFault(name, fmt.Errorf("the runner has uid %d and cannot become uid %d", euid, acc.uid),
			"Run gitlab-runner as root to give jobs their own user, or remove executor.shell.user.")
	}
	return acc, nil
}

// ownAccount is the runner's own user. A container may have no entry for it in
// its user database: HOME is enough then.
func ownAccount(euid int) (account, error) {
	acc := account{name: strconv.Itoa(euid), uid: euid, gid: os.Getegid()}
	if u, err := user.LookupId(strconv.Itoa(euid)); err == nil {
		acc.name, acc.home = u.Username, u.HomeDir
	}
	if home := os.Getenv("HOME"); filepath.IsAbs(home) {
		acc.home = home
	}
	if !filepath.IsAbs(acc.home) {
		return account{}, userFault(acc.name, errors.New("has no home directory"), "Set HOME for the runner's service.")
	}
	return acc, nil
}

func toAccount(u *user.User) (account, error) {
	uid, errUID := strconv.ParseUint(u.Uid, 10, 31)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 31)
	ids, errGroups := u.GroupIds()
	if err := errors.Join(errUID, errGID, errGroups); err != nil {
		return account{}, err
	}
	if !filepath.IsAbs(u.HomeDir) {
		return account{}, fmt.Errorf("home directory %q is not absolute", u.HomeDir)
	}
	acc := account{name: u.Username, uid: int(uid), gid: int(gid), home: u.HomeDir}
	for _, id := range ids {
		g, err := strconv.ParseUint(id, 10, 31)
		if err != nil {
			return account{}, err
		}
		acc.groups = append(acc.groups, int(g))
	}
	return acc, nil
}

func userFault(name string, err error, help string) error {
	return fault.New(fault.Permanent, "use job user", strconv.Quote(name), err, help)
}
