package driver

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"envrole/executor"
	"envrole/roles/fault"
)

// mayLend asks for a plan whose driver is program with args.
func mayLend(t *testing.T, argv []string, authority ...string) error {
	t.Helper()
	raw, err := json.Marshal(Plan{Run: argv, Inject: InjectScript, Mark: "m"})
	if err != nil {
		t.Fatal(err)
	}
	return Base{}.MayLend(t.Context(), executor.Job{}, raw, authority)
}

func TestWhatOthersCouldChangeGetsNoSession(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good", 0o755)
	open := file("open/driver", 0o755)
	if err := os.Chmod(filepath.Dir(open), 0o777); err != nil {
		t.Fatal(err)
	}
	through := filepath.Join(dir, "link")
	if err := os.Symlink(open, through); err != nil {
		t.Fatal(err)
	}
	sound := filepath.Join(dir, "sound")
	if err := os.Symlink("good", sound); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name      string
		argv      []string
		authority []string
		want      string // "" lends
	}{
		{name: "nobody", argv: []string{good, "run", "/nonexistent", "relative", dir}},
		{name: "through a sound link", argv: []string{sound}},
		{name: "missing authority", argv: []string{good}, authority: []string{filepath.Join(dir, "none", "x")}},
		{name: "group", argv: []string{file("group", 0o775)}, want: "group"},
		{name: "everybody", argv: []string{file("world", 0o757)}, want: "world"},
		{name: "its directory", argv: []string{open}, want: "open"},
		{name: "through a link", argv: []string{through}, want: "open"},
		{name: "the driver's own script", argv: []string{good, file("driver.py", 0o666)}, want: "driver.py"},
		{name: "authority", argv: []string{good}, authority: []string{good, file("config.toml", 0o666)}, want: "config.toml"},
		{name: "authority that others could make", argv: []string{good}, authority: []string{"/tmp/envrole-none"}, want: "could make it"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := mayLend(t, tc.argv, tc.authority...)
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if fault.ClassOf(err) != fault.Refused || fault.HelpOf(err) == "" || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	if os.Geteuid() != 0 {
		t.Log("SKIPPED: another user's file needs root")
		return
	}
	theirs := file("theirs", 0o755)
	if err := os.Chown(theirs, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := mayLend(t, []string{theirs}); fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), "user 65534") {
		t.Errorf("another user's: %v", err)
	}
}
