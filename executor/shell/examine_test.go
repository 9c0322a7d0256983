package shell

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// newAccount makes an account on this host.
func newAccount(t *testing.T, name, home string, more ...string) {
	t.Helper()
	needRoot(t)
	args := append([]string{"--system", "--no-create-home", "--home-dir", home}, more...)
	if out, err := exec.Command("useradd", append(args, name)...).CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("an account: %v %s", err, out))
	}
	t.Cleanup(func() {
		if out, err := exec.Command("userdel", name).CombinedOutput(); err != nil {
			t.Errorf("userdel: %v %s", err, out)
		}
	})
}

// noted is what Examine has said.
type noted struct{ problems, warnings []string }

func (n *noted) Problem(key, msg string) { n.problems = append(n.problems, key+": "+msg) }
func (n *noted) Warn(key, msg string)    { n.warnings = append(n.warnings, key+": "+msg) }

func TestWhatIsWrongWithAccountsIsFoundBeforeAJobComes(t *testing.T) {
	home := filepath.Join(newHomes(t), "own")
	if err := os.MkdirAll(home, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(home, 0o777); err != nil {
		t.Fatal(err)
	}
	_, strong := gidOf(t, "sudo", "wheel", "adm")
	newAccount(t, "envrole-x-good", "/nonexistent")
	newAccount(t, "envrole-x-home", home)
	newAccount(t, "envrole-x-disk", "/nonexistent", "--groups", "disk")
	newAccount(t, "envrole-x-strong", "/nonexistent", "--groups", strong)
	newAccount(t, "envrole-x-subids", "/nonexistent", "-F")
	for names, want := range map[string]noted{
		"good": {}, "nobody-here": {warnings: []string{`on this host: use job user "envrole-x-nobody-here"`}},
		"home":         {problems: []string{"usermod -d /nonexistent envrole-x-home"}},
		"disk":         {problems: []string{"can become root by its groups: disk"}},
		"strong":       {warnings: []string{"is in the groups " + strong}},
		"subids":       {problems: []string{"/etc/subuid gives it further ids"}},
		"good good-ko": {warnings: []string{"envrole-x-good-ko"}},
		"disk home":    {problems: []string{"disk", "own"}},
	} {
		t.Run(names, func(t *testing.T) {
			var got noted
			list := "envrole-x-" + strings.ReplaceAll(names, " ", " envrole-x-")
			Base{}.Examine(values{"users": list}, &got)
			same := func(got, want []string) {
				t.Helper()
				if len(got) != len(want) {
					t.Errorf("%q", got)
					return
				}
				for i := range want {
					if !strings.HasPrefix(got[i], "users: ") || !strings.Contains(got[i], want[i]) {
						t.Errorf("%q, want %q", got[i], want[i])
					}
				}
			}
			same(got.problems, want.problems)
			same(got.warnings, want.warnings)
		})
	}
	var got noted
	Base{}.Examine(values{"user": "envrole-x-home"}, &got) // it is to have one
	if len(got.problems)+len(got.warnings) > 0 {
		t.Errorf("%+v", got)
	}
	Base{}.Examine(values{"user": "envrole-x-disk"}, &got)
	if len(got.problems) != 1 || !strings.HasPrefix(got.problems[0], "user: ") {
		t.Errorf("%+v", got)
	}
	Base{}.Examine(values{}, &got)
	if len(got.problems) != 1 || len(got.warnings) > 0 {
		t.Errorf("%+v", got)
	}
}
