package driver

import (
	"os"
	"strings"
	"testing"

	"envrole/roles/fault"
	"envrole/roles/settings/schema"
)

type warnings []string

func (*warnings) Problem(string, string)     {}
func (w *warnings) Warn(key, message string) { *w = append(*w, key+": "+message) }

func TestCheckWarnsOfArgumentsThatNobodyLooksAt(t *testing.T) {
	for _, tc := range []struct {
		argv []string
		want string // "" warns of nothing
	}{
		{argv: []string{"/opt/tart/gitlab-tart-executor", "run"}},
		{argv: []string{"/bin/bash", "/opt/driver.sh", "-c", "x"}}, // -c is the script's own
		{argv: []string{"/bin/bash", "-e", "/opt/driver.sh"}},
		{argv: []string{"/bin/bash", "--norc", "-x", "/opt/driver.sh", "run"}},
		{argv: []string{"/opt/fargate", "--config", "/etc/fargate.toml", "custom", "run"}},
		{argv: []string{"/opt/driver", "-c", "/etc/driver.conf"}}, // no interpreter that is known
		{argv: []string{"/opt/driver", "--image=library/alpine:3", "https://example.com/x"}},
		{argv: []string{"/usr/bin/env", "A=b", "bash", "/opt/driver.sh"}},
		{argv: []string{"/bin/bash", "/opt/driver.sh", "sh", "relative"}},
		{argv: []string{"/bin/bash", "-c", "/opt/x.sh arg"}, want: `"/opt/x.sh arg"`},
		{argv: []string{"/bin/sh", "-ec", "/opt/x.sh"}, want: `"/opt/x.sh"`},
		{argv: []string{"/usr/bin/env", "-i", "bash", "-lc", "/opt/x.sh"}, want: `"/opt/x.sh"`},
		{argv: []string{"/usr/bin/python3.12", "-c", "import driver"}, want: `"import driver"`},
		{argv: []string{"/usr/bin/perl", "-e", "do 'x'"}, want: `"do 'x'"`},
		{argv: []string{"/usr/bin/node", "--eval", "require('/x')"}, want: "require"},
		{argv: []string{"/usr/bin/python3", "-m", "driver"}, want: `"driver"`},
		{argv: []string{"/bin/bash", "driver.sh"}, want: `"driver.sh" is relative`},
		{argv: []string{"/usr/bin/python3", "-u", "lib/driver.py"}, want: `"lib/driver.py" is relative`},
		{argv: []string{"/opt/driver", "./hook"}, want: `"./hook" is relative`},
		{argv: []string{"/opt/driver", "--hook=../hook"}, want: `"--hook=../hook" is relative`},
	} {
		var got warnings
		v := values{inject: InjectScript, lists: map[string][]string{keyRun: tc.argv}}
		check(v, schema.Use{Chosen: true, Lends: true}, &got)
		text := ""
		for _, w := range got {
			if strings.HasPrefix(w, keyRun+":") {
				text += w
			}
		}
		if (text != "") != (tc.want != "") || !strings.Contains(text, tc.want) {
			t.Errorf("%q: got %q, want %q", tc.argv, text, tc.want)
		}
		got = nil
		if check(v, schema.Use{Chosen: true}, &got); len(got) > 0 {
			t.Errorf("%q without a role: %q", tc.argv, got)
		}
	}
}

func TestAFileBehindAnOptionIsLookedAt(t *testing.T) {
	file := t.TempDir() + "/driver.toml"
	writeMode(t, file, 0o666)
	err := mayLend(t, []string{"/bin/true", "--config=" + file})
	if fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), file) {
		t.Errorf("got %v", err)
	}
	writeMode(t, file, 0o600)
	if err := mayLend(t, []string{"/bin/true", "--config=" + file}); err != nil {
		t.Error(err)
	}
}

func writeMode(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	err := os.WriteFile(path, nil, mode)
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
}
