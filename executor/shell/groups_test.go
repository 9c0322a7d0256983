package shell

import (
	"os/user"
	"strconv"
	"strings"
	"testing"

	"envrole/roles/fault"
)

func gidOf(t *testing.T, names ...string) (gid int, name string) {
	t.Helper()
	for _, name := range names {
		if g, err := user.LookupGroup(name); err == nil {
			if gid, err = strconv.Atoi(g.Gid); err == nil {
				return gid, name
			}
		}
	}
	missing(t, "none of the groups "+strings.Join(names, ", ")+" is here")
	return 0, ""
}

func TestNoRoleIsLentToAUserThatCanBecomeRoot(t *testing.T) {
	gid, name := gidOf(t, "docker", "disk", "shadow")
	for what, p := range map[string]Plan{
		"supplementary": {SwitchUser: true, User: "ci-job", UID: jobUID, GID: jobUID, Groups: []int{jobUID, gid}},
		"primary":       {SwitchUser: true, User: "ci-job", UID: jobUID, GID: gid},
		"of root":       {SwitchUser: true, User: "ci-job", UID: jobUID, GID: jobUID, Groups: []int{0}},
	} {
		err := Trust(p, Settings{}, nil)
		if fault.ClassOf(err) != fault.Refused || fault.HelpOf(err) == "" || what != "of root" && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := Trust(Plan{SwitchUser: true, User: "ci-job", UID: jobUID, GID: jobUID, Groups: []int{jobUID, jobUID + 1}}, Settings{}, nil); err != nil {
		t.Error(err)
	}
}

func TestTheLogWarnsOfStrongGroups(t *testing.T) {
	gid, name := gidOf(t, "sudo", "wheel", "adm")
	p := newUserPlan(t)
	p.Groups = append(p.Groups, gid)
	var log strings.Builder
	if err := New(p).Prepare(t.Context(), &log); err != nil || !strings.Contains(log.String(), "warning") || !strings.Contains(log.String(), name) {
		t.Errorf("%q, %v", log.String(), err)
	}
}

func TestUsersThatCannotEachHaveAJob(t *testing.T) {
	for name, c := range map[string]struct {
		users []string
		euid  int
		want  string
	}{
		"no root":          {[]string{"daemon", "bin"}, 1000, "cannot become another"},
		"not there":        {[]string{"daemon", "no-such-user-here"}, 0, "no-such-user-here"},
		"root":             {[]string{"daemon", "root"}, 0, "uid 0"},
		"twice the same":   {[]string{"daemon", "bin", "daemon"}, 0, "two jobs would share it"},
		"the runner's own": {[]string{"daemon"}, 1, "cannot become"},
	} {
		if _, err := resolveUsers(c.users, c.euid); fault.ClassOf(err) != fault.Permanent || !strings.Contains(err.Error(), c.want) || fault.HelpOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHomesThatAJobCouldNotReach(t *testing.T) {
	needRoot(t)
	for name, c := range map[string]struct {
		s  Settings
		ok bool
	}{
		"elsewhere":             {Settings{HomesDir: "/srv/homes", Isolation: Namespaces}, true},
		"beside the state":      {Settings{HomesDir: "/srv/state-homes"}, true},
		"in the state":          {Settings{HomesDir: "/srv/state/homes"}, false},
		"the state":             {Settings{HomesDir: "/srv/state"}, false},
		"/tmp, not isolated":    {Settings{HomesDir: "/tmp/homes"}, true},
		"/tmp, isolated":        {Settings{HomesDir: "/tmp/homes", Isolation: Namespaces}, false},
		"builds there":          {Settings{HomesDir: "/srv/homes", BuildsDir: "/var/tmp/b", Isolation: Namespaces}, false},
		"builds of the state's": {Settings{HomesDir: "/srv/homes", BuildsDir: "/srv/state/b", Isolation: Namespaces}, false},
	} {
		if err := checkHomes(Options{Settings: c.s, StateDir: "/srv/state"}, c.s.Isolation == Namespaces); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := NewPlan(Options{Settings: Settings{Users: []string{"daemon"}, HomesDir: "/srv/state/h"}, StateDir: "/srv/state", ProjectID: 1, LeaseID: "l"})
	if fault.ClassOf(err) != fault.Permanent || fault.HelpOf(err) == "" {
		t.Errorf("got %v", err)
	}
}

// What config tells the runner is what prepare plans, whichever user it takes.
func TestThePathsOfAJobDoNotDependOnItsUser(t *testing.T) {
	needRoot(t)
	v := values{"users": "daemon bin sys", "homes_dir": "/srv/homes", "shell": "sh"}
	_, job := newPool(t, 0)
	job.Values, job.ProjectID = v, 7
	said, err := Base{}.Announce(t.Context(), job, nil)
	if err != nil {
		t.Fatal(err)
	}
	other := numbered(job, 5)
	if _, err := (Base{}).Plan(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	raw, err := Base{}.Plan(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	p, err := decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if p.User != "bin" || p.BuildsDir != said.BuildsDir || p.CacheDir != said.CacheDir || !p.Leased || p.check() != nil ||
		p.BuildsDir != "/srv/homes/"+p.marker()+"/home/builds/7/unprotected" || p.StateDir != job.StateDir || strings.Contains(string(raw), "\"isolation\"") {
		t.Errorf("%+v\n%+v", p, said)
	}
}
