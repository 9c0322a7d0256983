package shell

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"envrole/executor"
)

// newPlan is a plan for jobs of this process's own user, below a new directory.
func newPlan(t testing.TB) Plan {
	t.Helper()
	dir := t.TempDir()
	sh, err := findShell("bash")
	if err != nil {
		t.Fatal(err)
	}
	return Plan{
		Shell: sh, User: "tester", UID: os.Geteuid(), GID: os.Getegid(), Home: dir,
		BuildsDir: filepath.Join(dir, "builds"), CacheDir: filepath.Join(dir, "cache"),
		Grace: 5 * time.Second, LeaseID: t.Name() + dir,
	}
}

// script writes a script as the runner does: 0700, of this process's user.
func script(t testing.TB, text string) executor.Script {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script.sh")
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return executor.Script{Path: path, SubStage: "build_script"}
}

func run(t testing.TB, p Plan, text string, env ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := New(p).Run(context.Background(), script(t, text), env, &out)
	return out.String(), err
}

func TestExitCodesAreKept(t *testing.T) {
	for _, code := range []int{0, 1, 42, 130, 255} {
		_, err := run(t, newPlan(t), "exit "+itoa(code))
		var exit *executor.ExitError
		switch {
		case code == 0 && err != nil:
			t.Errorf("exit 0: %v", err)
		case code != 0 && (!errors.As(err, &exit) || exit.Code != code):
			t.Errorf("exit %d: %v", code, err)
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
