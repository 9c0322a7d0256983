package shell

import (
	"errors"
	"fmt"
	"strings"

	"envrole/roles/fault"
)

// Trust says whether a role may be lent to a job of this plan: nil, or a
// refusal. files are what decides or keeps what is lent: the configuration
// file, the state directory, and the programs of EnvRole.
//
// Under the runner's own user a job can read what the runner can, its AWS
// credentials and other jobs' sessions included; the administrator must have
// written out that this is meant. Another user must not be able to change any
// of the files, nor put others in their place.
func Trust(p Plan, s Settings, files []string) error {
	if !p.SwitchUser {
		if s.SameUser == SameUserTrusted {
			return nil
		}
		return fault.New(fault.Refused, "lend a role to", "jobs of the runner's own user "+p.User,
			errors.New("such a job could read the runner's own credentials"),
			"Administrator: run gitlab-runner as root and name a user for jobs in executor.shell.user, or, if every job on this runner may have what the runner has, set executor.shell.same_user = \"trusted\".")
	}
	if err := p.checkGroups(); err != nil {
		return err
	}
	var wrong []string
	for _, file := range files {
		why, err := WritableBy(file, p.UID, append([]int{p.GID}, p.Groups...))
		if err != nil {
			return fault.New(fault.Internal, "check who may write", file, err, "")
		}
		if why != "" {
			wrong = append(wrong, file+": "+why)
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fault.New(fault.Refused, "lend a role to", "jobs of user "+p.User,
		fmt.Errorf("that user could change what decides about roles: %s", strings.Join(wrong, "; ")),
		"Administrator: give the files and every directory above them to root, not writable by others (chown root:root, chmod go-w).")
}
