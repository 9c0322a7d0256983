package shell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// remove removes dir/name.
func remove(t testing.TB, dir, name string) error {
	t.Helper()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	return removeTree(t.Context(), int(d.Fd()), name)
}

func TestDeepTreesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	top, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	const depth = 10_000
	name := "top"
	for range depth {
		if err := unix.Mkdirat(top, name, 0o700); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(top, name, unix.O_DIRECTORY|unix.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_ = unix.Close(top)
		top, name = next, strings.Repeat("d", 200) // far longer than a path may be
	}
	_ = unix.Close(top)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	few := old
	few.Cur = 64
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	err = remove(t, dir, "top")
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestWideTreesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	for i := range 25 {
		for j := range 25 {
			if err := os.MkdirAll(fmt.Sprintf("%s/top/%d/%d/x", dir, i, j), 0o700); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 3000 {
		if err := os.WriteFile(fmt.Sprintf("%s/top/f%d", dir, i), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := remove(t, dir, "top"); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestLinksAreRemovedAndNotFollowed(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.MkdirAll(outside+"/kept", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir+"/top/a/b", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"link", "top/link", "top/a/b/link"} {
		if err := os.Symlink(outside, dir+"/"+link); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"link", "top", "never there"} {
		if err := remove(t, dir, name); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(outside + "/kept"); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// Another user's process fills a directory that is open to all, as fast as it
// can, and never stops.
func TestATreeThatAnotherUserKeepsFillingIsRemoved(t *testing.T) {
	needRoot(t)
	dir := newHomes(t)
	for _, sub := range []string{"top", "top/open", "top/open/below"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, sub), 0o755), os.Chmod(filepath.Join(dir, sub), 0o777)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 24 { // more than one that removes can keep up with
		sub := []string{"top", "top/open", "top/open/below"}[i%3]
		cmd := asJobUser(t, poolUID+40, "fill", "SHELL_TEST_DIR="+filepath.Join(dir, sub))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		if _, err := out.Read(make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := removeTree(ctx, int(d.Fd()), "top"); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// fill makes files in a directory until it is killed. It holds the directory
// open: with the path alone it would be out once that is closed.
func fill(dir string) error {
	d, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		fd, err := unix.Openat(d, fmt.Sprint(i), unix.O_CREAT|unix.O_WRONLY, 0o600)
		switch {
		case err == nil:
			_ = unix.Close(fd)
		case i > 100: // shut out
			return nil
		}
		if i == 100 {
			fmt.Println("ready")
		}
	}
}
