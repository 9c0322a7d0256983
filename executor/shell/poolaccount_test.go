package shell

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"envrole/roles/fault"
)

func TestAccountsInWhichAJobCouldLeaveSomething(t *testing.T) {
	needRoot(t)
	base := newHomes(t)
	dir := func(name string, mode os.FileMode, uid int) string {
		path := filepath.Join(base, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, 0); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := func(name, text string) string {
		path := filepath.Join(base, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	roots := dir("roots", 0o755, 0)
	for name, c := range map[string]struct {
		home, subIDs string
		want         string // of the message; "" is accepted
		help         string
	}{
		"no home":                   {"/nonexistent", "", "", ""},
		"root's home":               {roots, "", "", ""},
		"no file of ids":            {"/nonexistent", base + "/missing", "", ""},
		"others' ids":               {"/nonexistent", file("others", "ci-job:100000:65536\nci-job-01:1:1\n# ci-job-0:1:1\n613000:1:1\n"), "", ""},
		"its own home":              {dir("own", 0o700, poolUID), "", "in its home", "usermod -d /nonexistent ci-job-0"},
		"everybody's home":          {dir("all", 0o777, 0), "", "in its home", "usermod -d"},
		"not there, but it may be":  {dir("open", 0o777, 0) + "/home", "", "in its home", "usermod -d"},
		"its home below its own":    {dir("own/below", 0o755, 0), "", "in its home", "usermod -d"},
		"ids by name":               {"/nonexistent", file("name", "x:1:2\nci-job-0:100000:65536\n"), "further ids", "Remove the lines of ci-job-0"},
		"ids by number, unfinished": {"/nonexistent", file("number", " 61300:100000:65536"), "further ids", "Remove the lines of 61300"},
		"ids that cannot be read":   {"/nonexistent", roots, "directory", "can be read"},
		"a line without an end":     {"/nonexistent", file("long", strings.Repeat("x", 1<<20)), "long", "can be read"},
	} {
		who := account{name: "ci-job-0", uid: poolUID, gid: poolUID, home: c.home}
		err := who.checkPoolAccount([]string{c.subIDs})
		if c.subIDs == "" {
			err = who.checkPoolAccount(nil)
		}
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), c.want) || !strings.Contains(fault.HelpOf(err), c.help)):
			t.Errorf("%s: %v, help %q", name, err, fault.HelpOf(err))
		}
	}
}

// The pool is looked at before a user is taken, for jobs without a role too.
func TestAnAccountThatKeepsSomethingIsNotInThePool(t *testing.T) {
	needRoot(t)
	const name = "games" // of the users that every host has, one that owns nothing
	acc, err := resolveUser(name, 0)
	if err != nil {
		missing(t, err.Error())
	}
	file := filepath.Join(t.TempDir(), "subuid")
	if err := os.WriteFile(file, []byte(name+":100000:65536\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := resolvePool([]string{"daemon", name}, 0, []string{file}); fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), name) {
		t.Errorf("%v", err)
	}
	if pool, err := resolvePool([]string{"daemon", name}, 0, nil); err != nil || len(pool) != 2 || pool[1].uid != acc.uid {
		t.Errorf("%v, %v", pool, err)
	}
}

// Something else runs as the user: a login, cron, or a host that shares it.
func TestAUserWithProcessesOfNoJobIsNotTaken(t *testing.T) {
	pool, job := newPool(t, 2)
	cmd := asJobUser(t, pool[0].uid, "traced")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = cmd.Wait() }()
	mustTake(t, job, pool, pool[1].name)
	_, err := take(t, numbered(job, 2), pool)
	if fault.ClassOf(err) != fault.Passing || !strings.Contains(err.Error(), pool[0].name+" has processes of no job that is written down") {
		t.Errorf("%v", err)
	}
	if !lives(cmd.Process.Pid) {
		t.Error("the process was ended")
	}
}
