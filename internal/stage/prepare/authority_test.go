package prepare

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"envrole/roles/settings"
)

// Not only prepare's own program decides what becomes of a session: run gets it
// in clear, and cleanup takes it back.
func TestEveryProgramOfTheDriverIsHeldAgainstTheJobsUser(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &preparation{
		conf: &settings.Settings{File: "/etc/envrole/config.toml", State: settings.State{Dir: "/var/lib/envrole"}},
	}
	got := p.authority()
	want := []string{p.conf.File, p.conf.State.Dir, exe}
	for _, name := range []string{"envrole-config", "envrole-prepare", "envrole-run", "envrole-cleanup", "envrole"} {
		want = append(want, filepath.Join(filepath.Dir(exe), name))
	}
	for _, path := range want {
		if !slices.Contains(got, path) {
			t.Errorf("%s is not looked at", path)
		}
	}
}
