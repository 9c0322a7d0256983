package driver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckFindsWhatIsWrongWithTheDriverOnThisHost(t *testing.T) {
	dir := t.TempDir()
	good, open, closed := filepath.Join(dir, "good"), filepath.Join(dir, "open"), filepath.Join(dir, "closed")
	writeMode(t, good, 0o755)
	writeMode(t, open, 0o757)
	writeMode(t, closed, 0o600)
	for name, c := range map[string]struct {
		key  string
		argv []string
		want []string
	}{
		"all is well":           {keyRun, []string{good, "--config=" + closed, "x"}, nil},
		"nothing given":         {keyPrepare, nil, nil},
		"config is not there":   {keyConfig, []string{filepath.Join(dir, "none")}, []string{keyConfig, "no such file", "install"}},
		"cleanup cannot start":  {keyCleanup, []string{closed}, []string{keyCleanup, closed, "permission denied"}},
		"others may change it":  {keyPrepare, []string{open}, []string{keyPrepare, "no role is lent", open, "0757"}},
		"or what it reads":      {keyRun, []string{good, open}, []string{keyRun, "no role is lent", open}},
		"or what an option has": {keyRun, []string{good, "--config=" + open}, []string{keyRun, "no role is lent", open}},
	} {
		var got warnings
		Base{}.Examine(values{inject: InjectScript, lists: map[string][]string{c.key: c.argv}}, &got)
		if (len(got) > 0) != (c.want != nil) || len(got) > 1 {
			t.Errorf("%s: %q", name, got)
		}
		for _, want := range c.want {
			if !strings.Contains(strings.Join(got, "\n"), want) {
				t.Errorf("%s: %q lacks %q", name, got, want)
			}
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	var got warnings
	Base{}.Examine(values{lists: map[string][]string{keyRun: {good}}}, &got)
	if len(got) != 1 || !strings.Contains(got[0], dir+" may be written") {
		t.Errorf("a directory above: %q", got)
	}
}
