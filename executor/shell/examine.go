package shell

import (
	"fmt"
	"strings"

	"envrole/roles/fault"
	"envrole/roles/settings/schema"
)

// Examine looks at this host's accounts for `envrole check`: what would keep a
// job from running, or a role from being lent to it. An account that is missing
// is worth a warning only, since the file may be for another host.
func (Base) Examine(v schema.Values, n schema.Notes) {
	s := ReadSettings(v)
	if s.User != "" {
		examineAccount("user", s.User, n)
	}
	of := map[int]string{}
	for _, name := range s.Users {
		who, ok := examineAccount("users", name, n)
		if !ok {
			continue
		}
		if other := of[who.uid]; other != "" && other != name {
			n.Problem("users", fmt.Sprintf("%q has uid %d, as %q has: two jobs would share it", name, who.uid, other))
		}
		of[who.uid] = name
		if err := who.checkPoolAccount(subIDFiles()); err != nil {
			n.Problem("users", said(err))
		}
	}
}

// examineAccount notes what is wrong with one account; false is none.
func examineAccount(key, name string, n schema.Notes) (account, bool) {
	who, err := resolveUser(name, 0)
	if err != nil {
		n.Warn(key, "on this host: "+said(err))
		return who, false
	}
	p := Plan{User: name, UID: who.uid, GID: who.gid, Groups: who.groups, SwitchUser: true}
	if err := p.checkGroups(); err != nil {
		n.Problem(key, said(err))
	}
	if names := p.groupNames(strongGroups()); len(names) > 0 {
		n.Warn(key, fmt.Sprintf("user %q is in the groups %s: see that they give it nothing of the host's", name, strings.Join(names, ", ")))
	}
	return who, true
}

// said is a fault and what to do about it.
func said(err error) string {
	if help := fault.HelpOf(err); help != "" {
		return err.Error() + "; " + help
	}
	return err.Error()
}
