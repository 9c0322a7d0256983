package shell

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"envrole/roles/fault"
)

func TestDirectoriesAreOfOneProjectAndKindOfRef(t *testing.T) {
	builds, cache := BuildsDirs(Settings{}, "/home/ci", 42, true)
	if builds != "/home/ci/builds/42/protected" || cache != "/home/ci/cache/42/protected" {
		t.Error(builds, cache)
	}
	builds, cache = BuildsDirs(Settings{BuildsDir: "/srv/b", CacheDir: "/srv/c"}, "/home/ci", 43, false)
	if builds != "/srv/b/43/unprotected" || cache != "/srv/c/43/unprotected" {
		t.Error(builds, cache)
	}
}

func TestPrepareMakesDirectoriesForTheJobAlone(t *testing.T) {
	bothPlans(t, func(t *testing.T, p Plan) {
		for range 2 { // a second attempt of prepare finds the first one's
			if err := New(p).Prepare(t.Context(), io.Discard); err != nil {
				t.Fatal(err)
			}
		}
		for _, dir := range []string{p.BuildsDir, p.CacheDir, p.tmpDir()} {
			if dir == os.TempDir() {
				continue
			}
			mustOwn(t, dir, p.UID, 0o700)
		}
		if _, err := run(t, p, "cd "+p.BuildsDir+" && touch x && touch $TMPDIR/y-$$ && rm $TMPDIR/y-$$"); err != nil {
			t.Error(err)
		}
	})
}

func TestPrepareNarrowsAnOpenDirectory(t *testing.T) {
	p := newPlan(t)
	if err := os.MkdirAll(p.BuildsDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := New(p).Prepare(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	mustOwn(t, p.BuildsDir, p.UID, 0o700)
}

func TestManyPreparesOfOneProjectAtOnce(t *testing.T) {
	bothPlans(t, func(t *testing.T, p Plan) {
		p.BuildsDir = filepath.Join(p.Home, "a", "b", "c", "d")
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := p.owner().ensureDir(p.BuildsDir); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		mustOwn(t, p.BuildsDir, p.UID, 0o700)
		left, err := filepath.Glob(filepath.Join(p.Home, "a", ".envrole-*"))
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

func TestALinkOfTheJobsUserIsNotFollowed(t *testing.T) {
	p := newUserPlan(t)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.MkdirAll(filepath.Join(victim, "42", "protected"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"builds", "builds/42", "builds/42/protected"} {
		if err := os.RemoveAll(filepath.Join(p.Home, "builds")); err != nil {
			t.Fatal(err)
		}
		link := filepath.Join(p.Home, at)
		if err := os.MkdirAll(filepath.Dir(link), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(victim, link); err != nil {
			t.Fatal(err)
		}
		// The link may even be root's: a job can make a hard link to one.
		for _, owner := range []int{jobUID, 0} {
			if err := os.Lchown(link, owner, owner); err != nil {
				t.Fatal(err)
			}
			for dir := filepath.Dir(link); dir != p.Home; dir = filepath.Dir(dir) {
				if err := os.Chown(dir, jobUID, jobUID); err != nil {
					t.Fatal(err)
				}
			}
			err := New(p).Prepare(t.Context(), io.Discard)
			if fault.ClassOf(err) != fault.Permanent || fault.HelpOf(err) == "" {
				t.Errorf("link of uid %d at %s: %v", owner, at, err)
			}
			for _, dir := range []string{victim, filepath.Join(victim, "42"), filepath.Join(victim, "42", "protected")} {
				mustOwn(t, dir, 0, 0o700)
			}
		}
	}
}

func TestALinkOfRootIsFollowed(t *testing.T) {
	p := newUserPlan(t)
	base := t.TempDir()
	if err := os.Mkdir(filepath.Join(base, "disk"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"abs": filepath.Join(base, "disk"), "rel": "disk"} {
		if err := os.Symlink(target, filepath.Join(base, link)); err != nil {
			t.Fatal(err)
		}
		p.BuildsDir = filepath.Join(base, link, link, "protected")
		if err := New(p).Prepare(t.Context(), io.Discard); err != nil {
			t.Error(err)
		}
		mustOwn(t, filepath.Join(base, "disk", link, "protected"), jobUID, 0o700)
	}
}

// A job that swaps its directory for a link, over and over, while root works
// below it, must not get anything else.
func TestSwappedDirectoriesDoNotGiveAnythingAway(t *testing.T) {
	p := newUserPlan(t)
	victim := filepath.Join(p.Home, "victim") // even in reach of a rename
	if err := os.MkdirAll(filepath.Join(victim, "secret"), 0o700); err != nil {
		t.Fatal(err)
	}
	builds := filepath.Join(p.Home, "builds")
	if err := os.Symlink(victim, builds+".link"); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = os.Rename(builds, builds+".away")
				_ = os.Rename(builds+".link", builds)
				_ = os.Rename(builds, builds+".link")
				_ = os.Rename(builds+".away", builds)
			}
		}
	})
	for range 300 {
		_ = p.owner().ensureDir(p.BuildsDir)
		_ = os.RemoveAll(filepath.Join(builds, "42"))
	}
	close(stop)
	wg.Wait()
	mustOwn(t, victim, 0, 0o700)
	mustOwn(t, filepath.Join(victim, "secret"), 0, 0o700)
}

func TestADirectoryOfSomebodyElseIsRefused(t *testing.T) {
	p := newUserPlan(t)
	for name, change := range map[string]func(dir string) error{
		"other user's": func(dir string) error { return os.Chown(dir, jobUID+7, jobUID+7) },
		"root's":       func(dir string) error { return os.Chown(dir, 0, 0) },
		"a file":       func(dir string) error { _ = os.RemoveAll(dir); return os.WriteFile(dir, nil, 0o600) },
	} {
		if err := os.RemoveAll(p.BuildsDir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(p.BuildsDir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := change(p.BuildsDir); err != nil {
			t.Fatal(err)
		}
		if err := New(p).Prepare(t.Context(), io.Discard); fault.ClassOf(err) != fault.Permanent {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.BuildsDir = "relative/builds"
	if err := New(p).Prepare(t.Context(), io.Discard); err == nil {
		t.Error("a relative directory was made")
	}
}

func TestCleanupRemovesTheJobsTmpdirAndNothingBehindIt(t *testing.T) {
	p := newUserPlan(t)
	precious := filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, p, "mkdir -p $TMPDIR/a/b; chmod 0 $TMPDIR/a/b; ln -s "+filepath.Dir(precious)+" $TMPDIR/link; ln -s / $TMPDIR/root"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := New(p).Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(p.TmpDir); !os.IsNotExist(err) {
		t.Errorf("TMPDIR is still there: %v", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
	odd := p
	odd.TmpDir = filepath.Dir(precious) // not of the form that a plan gives it
	if err := New(odd).Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

func mustOwn(t *testing.T, path string, uid int, mode os.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Error(err)
		return
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != uid || info.Mode().Perm() != mode {
		t.Errorf("%s has uid %d, mode %o; want uid %d, mode %o", path, st.Uid, info.Mode().Perm(), uid, mode)
	}
}
