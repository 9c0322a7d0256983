package doctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// `make build && sudo make install`, as the pages say: sudo has a PATH of its
// own, and Go's official place is not in it.
func TestInstallNeedsNoGo(t *testing.T) {
	tools := t.TempDir()
	for _, name := range []string{"make", "bash", "install"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err) // whoever builds this has them
		}
		if err := os.Symlink(path, filepath.Join(tools, name)); err != nil {
			t.Fatal(err)
		}
	}
	built, dest := t.TempDir(), t.TempDir()
	install := func() (string, error) {
		cmd := exec.Command("make", "--no-print-directory", "install", "BIN="+built, "DESTDIR="+dest)
		cmd.Dir = root
		cmd.Env = []string{"PATH=" + tools, "HOME=" + dest}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	names := []string{"envrole", "envrole-config", "envrole-prepare", "envrole-run", "envrole-cleanup"}
	for _, name := range names {
		if out, err := install(); err == nil || !strings.Contains(out, name+" is not built: run make build first") {
			t.Errorf("without %s: %v\n%s", name, err, out)
		}
		if err := os.WriteFile(filepath.Join(built, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := install(); err != nil || strings.Contains(out, "not found") {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range names {
		info, err := os.Stat(filepath.Join(dest, "usr/local/bin", name))
		if err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
}
