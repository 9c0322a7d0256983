package settings

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// someFile makes dir/sub/config.toml with safe modes, whatever the umask.
func someFile(t *testing.T) string {
	t.Helper()
	sub := filepath.Join(t.TempDir(), "sub")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(sub, "config.toml")
	if err := os.WriteFile(path, []byte(good), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{filepath.Dir(sub), sub, path} {
		mode := os.FileMode(0o755)
		if p == path {
			mode = 0o644
		}
		if err := os.Chmod(p, mode); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLoadTakesAFileThatOnlyItsOwnerCanChange(t *testing.T) {
	for name, prepare := range map[string]func(path string) error{
		"readable by all":                func(string) error { return nil },
		"private":                        func(p string) error { return os.Chmod(p, 0o600) },
		"private in a private directory": func(p string) error { return os.Chmod(filepath.Dir(p), 0o700) },
		"in a sticky directory of ours":  func(p string) error { return os.Chmod(filepath.Dir(p), os.ModeSticky|0o777) },
		"through links": func(p string) error {
			if err := os.Rename(p, p+".real"); err != nil {
				return err
			}
			if err := os.Symlink("../sub/./config.toml.real", p+".link"); err != nil {
				return err
			}
			return os.Symlink(p+".link", p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := someFile(t)
			do(t, prepare(path))
			if _, err := Load(path, testBases()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLoadRefusesAFileThatOthersCouldHaveWritten(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(path string) error
		want    string // %p is the path, %d its directory
	}{
		"group can write the file": {
			func(p string) error { return os.Chmod(p, 0o664) }, "%p has mode 0664, its group or others can write; run: chmod go-w %p",
		},
		"others can write the file": {func(p string) error { return os.Chmod(p, 0o646) }, "run: chmod go-w %p"},
		"group can write the directory": {
			func(p string) error { return os.Chmod(filepath.Dir(p), 0o775) }, "%d has mode 0775, its group or others can write; run: chmod go-w %d",
		},
		"others can write the directory above": {
			func(p string) error { return os.Chmod(filepath.Dir(filepath.Dir(p)), 0o777) }, "others can write",
		},
		"a link into a directory that others can write": {
			func(p string) error {
				open := filepath.Join(filepath.Dir(p), "open")
				if err := errors.Join(os.Mkdir(open, 0o755), os.Chmod(open, 0o777)); err != nil {
					return err
				}
				return errors.Join(os.Rename(p, filepath.Join(open, "c")), os.Symlink("open/c", p))
			}, "/open has mode 0777",
		},
		"a link that lies where others can write, to a safe file": {
			func(p string) error {
				dir := filepath.Dir(p)
				safe := filepath.Join(filepath.Dir(dir), "safe.toml")
				return errors.Join(os.Rename(p, safe), os.Symlink(safe, p), os.Chmod(dir, 0o777))
			}, "%d has mode 0777",
		},
		"a link to itself": {
			func(p string) error { return errors.Join(os.Remove(p), os.Symlink(p, p)) }, "more than 40 symbolic links",
		},
		"a directory": {
			func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o755)) }, "%p is not a regular file",
		},
		"a named pipe": {
			func(p string) error { return errors.Join(os.Remove(p), syscall.Mkfifo(p, 0o600)) }, "%p is not a regular file",
		},
		"a huge file": {func(p string) error { return os.Truncate(p, maxSize+1) }, "%p is larger than 4 MiB"},
		"no file":     {os.Remove, "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			path := someFile(t)
			do(t, c.prepare(path))
			_, err := Load(path, testBases())
			want := strings.NewReplacer("%p", path, "%d", filepath.Dir(path)).Replace(c.want)
			var ps Problems
			if !errors.As(err, &ps) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Load = %v, want Problems with %q", err, want)
			}
			if !strings.HasPrefix(err.Error(), path+": ") {
				t.Errorf("the error does not begin with the file: %v", err)
			}
		})
	}
}

// stat is a file's information with another owner.
type stat struct {
	os.FileInfo
	uid uint32
}

func (s stat) Sys() any { return &syscall.Stat_t{Uid: s.uid} }

func TestOwnerMustBeRootOrTheCurrentUser(t *testing.T) {
	path := someFile(t)
	dir := filepath.Dir(path)
	fi, err := os.Lstat(path)
	do(t, err)
	di, err := os.Lstat(dir)
	do(t, err)
	do(t, os.Chmod(dir, os.ModeSticky|0o777))
	st, err := os.Lstat(dir)
	do(t, err)
	for _, c := range []struct {
		name  string
		owner uint32
		dir   os.FileInfo
		want  string
	}{
		{"ours", 1000, di, ""},
		{"root's", 0, di, ""},
		{"another's", 1001, di, "belongs to user 1001, not to root or the current user (1000); run: chown root "},
		{"ours in /tmp", 1000, st, ""},
		{"root's in /tmp", 0, st, "lies in a directory that everybody can write"},
		{"another's in /tmp", 1001, st, "belongs to user 1001"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := checkOwner(path, stat{fi, c.owner}, c.dir, 1000)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("checkOwner = %v, want %q", err, c.want)
			}
		})
	}
}

func TestLoadRefusesAFileOfAnotherUser(t *testing.T) {
	path := someFile(t)
	if os.Geteuid() == 0 {
		do(t, os.Chown(path, 12345, 12345))
		if _, err := Load(path, testBases()); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
			t.Errorf("Load = %v", err)
		}
		return
	}
	if _, err := readTrusted(path, os.Geteuid()+1); err == nil || !strings.Contains(err.Error(), "belongs to user") {
		t.Errorf("readTrusted as another user = %v", err)
	}
}

func TestLoadRefusesACertificateFileThatOthersCanWrite(t *testing.T) {
	path := someFile(t)
	ca := filepath.Join(filepath.Dir(path), "ca.pem")
	do(t, os.WriteFile(path, []byte(with("url", "url = \"https://gitlab.example.com\"\nca_file = \""+ca+"\"")), 0o600))
	if _, err := Load(path, testBases()); err == nil || !strings.HasPrefix(err.Error(), path+":3: gitlab.ca_file: ") {
		t.Errorf("without the file: %v", err)
	}
	do(t, os.WriteFile(ca, []byte("x"), 0o600))
	if _, err := Load(path, testBases()); err != nil {
		t.Error(err)
	}
	do(t, os.Chmod(ca, 0o666))
	if _, err := Load(path, testBases()); err == nil || !strings.Contains(err.Error(), ":3: gitlab.ca_file: others could change it: "+ca) {
		t.Errorf("writable: %v", err)
	}
}

func TestCommandsInMessagesCanBeCopied(t *testing.T) {
	for path, want := range map[string]string{"/etc/a.toml": "/etc/a.toml", "/a b": "'/a b'", "/it's": `'/it'\''s'`} {
		if got := shellWord(path); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", path, got, want)
		}
	}
}
