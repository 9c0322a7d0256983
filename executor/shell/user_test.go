package shell

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"envrole/roles/fault"
)

func TestAJobOfAnotherUserHasThatUsersRightsOnly(t *testing.T) {
	p := newUserPlan(t)
	s := script(t, "id -u; id -g; id -G")
	out, err := run(t, p, `id -u; id -g; id -G; ps -o sid= -p $$ | tr -d ' '; echo $$; grep CapEff /proc/$$/status`)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out, "\n")
	if lines[0] != "61234" || lines[1] != "61234" || lines[2] != "61234 61235" {
		t.Errorf("the job is %q", lines[:3])
	}
	if lines[3] != lines[4] {
		t.Errorf("the job is in session %s, not in its own (%s)", lines[3], lines[4])
	}
	if !strings.HasSuffix(lines[5], "0000000000000000") {
		t.Errorf("the job has capabilities: %s", lines[5])
	}
	for what, attack := range map[string]string{
		"read the runner's script":         "cat " + s.Path,
		"read the stage's environment":     "tr '\\0' '\\n' < /proc/$PPID/environ",
		"read the stage's memory":          "head -c1 /proc/$PPID/mem",
		"list the stage's open files":      "ls /proc/$PPID/fd/",
		"signal the stage":                 "kill -0 $PPID",
		"change its script":                "echo evil > /proc/self/fd/3",
		"append to its script":             "echo evil >> /proc/$$/fd/3",
		"make its script shorter":          "truncate -s 0 /proc/$$/fd/3",
		"write over its script":            "echo 1<>/proc/$$/fd/3 evil",
		"read another user's shared home":  "ls /root/",
		"list the runner's own temp files": "ls " + s.Path[:strings.LastIndex(s.Path, "/")],
	} {
		if out, err := run(t, p, "set -e\n"+attack+"\necho it worked"); err == nil || strings.Contains(out, "it worked") {
			t.Errorf("a job could %s: %q", what, out)
		}
	}
}

func TestTheScriptGoesByNoReadableFile(t *testing.T) {
	p := newUserPlan(t)
	// Whoever is neither root nor the job's user finds the text nowhere: not in
	// the command line, not in a file below the job's directories.
	out, err := run(t, p, "tr '\\0' ' ' < /proc/$$/cmdline; echo; grep -rlF needle-"+"$((40+2)) $HOME $TMPDIR || true\n# needle-42")
	if err != nil || strings.TrimSpace(out) != p.Shell+" "+scriptFD {
		t.Errorf("%q, %v", out, err)
	}
}

func TestUsersThatCannotBeAJobs(t *testing.T) {
	for name, euid := range map[string]int{"root": 0, "no-such-user-here": 0} {
		if _, err := resolveUser(name, euid); fault.ClassOf(err) != fault.Permanent || fault.HelpOf(err) == "" {
			t.Errorf("%s under uid %d: %v", name, euid, err)
		}
	}
	if _, err := resolveUser("daemon", 12345); fault.ClassOf(err) != fault.Permanent || !strings.Contains(fault.HelpOf(err), "root") {
		t.Errorf("another user without root: %v", err)
	}
}

func TestPlanOfANamedUser(t *testing.T) {
	needRoot(t)
	o := Options{Settings: Settings{User: "daemon", Shell: "sh"}, ProjectID: 7, LeaseID: "lease"}
	p, err := NewPlan(o)
	if err != nil {
		t.Fatal(err)
	}
	if !p.SwitchUser || p.UID == 0 || p.User != "daemon" || p.Grace != defaultGrace || !strings.HasSuffix(p.BuildsDir, "/builds/7/unprotected") ||
		!strings.HasPrefix(p.TmpDir, "/tmp/envrole-") || strings.Contains(p.TmpDir, "lease") {
		t.Errorf("%+v", p)
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var again Plan
	if err := json.Unmarshal(b, &again); err != nil || !reflect.DeepEqual(p, again) {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestPlanOfTheRunnersOwnUser(t *testing.T) {
	t.Setenv("HOME", "/home/of-the-service")
	p, err := NewPlan(Options{Settings: Settings{Shell: "bash"}, ProjectID: 7, RefProtected: true, LeaseID: "lease"})
	if err != nil {
		t.Fatal(err)
	}
	if p.SwitchUser || p.UID != os.Geteuid() || p.TmpDir != "" || p.BuildsDir != "/home/of-the-service/builds/7/protected" {
		t.Errorf("%+v", p)
	}
}

func TestPlansThatCannotWork(t *testing.T) {
	good := Options{Settings: Settings{Shell: "bash"}, ProjectID: 7, LeaseID: "lease"}
	for name, change := range map[string]func(*Options){
		"no lease":   func(o *Options) { o.LeaseID = "" },
		"no project": func(o *Options) { o.ProjectID = 0 },
		"odd shell":  func(o *Options) { o.Settings.Shell = "/bin/zsh" },
		"pass_env":   func(o *Options) { o.PassEnv = []string{"AWS_SECRET_ACCESS_KEY"} },
	} {
		o := good
		change(&o)
		if _, err := NewPlan(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestRolesAreLentUnderTheRunnersOwnUserOnlyIfWrittenOut(t *testing.T) {
	p := newPlan(t)
	for _, s := range []string{"", "yes", "Trusted"} {
		if err := Trust(p, Settings{SameUser: s}, nil); fault.ClassOf(err) != fault.Refused || fault.HelpOf(err) == "" {
			t.Errorf("same_user = %q: %v", s, err)
		}
	}
	if err := Trust(p, Settings{SameUser: SameUserTrusted}, nil); err != nil {
		t.Error(err)
	}
}

func TestFilesThatAJobCouldChangeForbidLending(t *testing.T) {
	needRoot(t)
	p := Plan{SwitchUser: true, User: "ci-job", UID: jobUID, GID: jobUID, Groups: []int{jobUID + 1}}
	base := t.TempDir()
	write := func(name string, mode os.FileMode, uid, gid int) string {
		path := base + "/" + name
		if err := os.MkdirAll(path[:strings.LastIndex(path, "/")], 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, gid); err != nil {
			t.Fatal(err)
		}
		return path
	}
	dir := func(name string, mode os.FileMode, uid, gid int) string {
		file := write(name+"/file", 0o600, 0, 0)
		if err := os.Chmod(base+"/"+name, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(base+"/"+name, uid, gid); err != nil {
			t.Fatal(err)
		}
		return file
	}
	link := func(name, target string) string {
		if err := os.Symlink(target, base+"/"+name); err != nil {
			t.Fatal(err)
		}
		return base + "/" + name
	}
	own := write("own", 0o400, jobUID, 0)
	acl := write("acl", 0o660, 0, 0)
	for name, c := range map[string]struct {
		path string
		safe bool
	}{
		"root's file":                       {write("good", 0o644, 0, 0), true},
		"group that is not the job's":       {write("group", 0o664, 0, jobUID+9), true},
		"not there, root's directory":       {base + "/missing/file", true},
		"sticky directory, root's file":     {dir("sticky", 0o777|os.ModeSticky, 0, 0), true},
		"job's own file":                    {own, false},
		"everybody's file":                  {write("all", 0o666, 0, 0), false},
		"file of a supplementary group":     {write("sup", 0o620, 0, jobUID+1), false},
		"file of the primary group":         {write("prim", 0o620, 0, jobUID), false},
		"in the job's own directory":        {dir("jobs", 0o700, jobUID, 0), false},
		"in everybody's directory":          {dir("open", 0o777, 0, 0), false},
		"in a group's directory":            {dir("team", 0o775, 0, jobUID), false},
		"not there, everybody's directory":  {base + "/open/missing", false},
		"link to the job's file":            {link("tolink", own), false},
		"link to a link in everybody's":     {link("tolink2", base+"/open/missing"), false},
		"link to a good file":               {link("tolink3", "good"), true},
		"not there, sticky directory":       {base + "/sticky/missing", false},
		"directory that the job may write":  {base + "/open", false},
		"directory above belongs to job":    {base + "/jobs/x/y/z", false},
		"root's file without an ACL, 0660":  {acl, true},
		"the root directory":                {"/", true},
		"a directory with a dot dot inside": {base + "/open/../good", true},
	} {
		err := Trust(p, Settings{}, []string{c.path})
		if (err == nil) != c.safe || err != nil && fault.ClassOf(err) != fault.Refused {
			t.Errorf("%s (%s): %v", name, c.path, err)
		}
	}
	// user::rw-, user:61234:rw-, group::---, mask::rw-, other::---
	list := []byte{2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 6, 0, 0x32, 0xef, 0, 0, 4, 0, 0, 0, 255, 255, 255, 255, 16, 0, 6, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255}
	if err := unix.Setxattr(acl, "system.posix_acl_access", list, 0); err != nil {
		t.Logf("no access control lists here: %v", err)
	} else if err := Trust(p, Settings{}, []string{acl}); err == nil {
		t.Error("a file that an access control list opens to the job was accepted")
	}
	if err := Trust(p, Settings{}, []string{"relative"}); err == nil {
		t.Error("a relative path was accepted")
	}
}
