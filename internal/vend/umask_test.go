package vend

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A runner hardened with UMask=0077: the job's user must still read the files.
func TestTheFilesAreReadableWhateverTheUmask(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	s := socket(t, os.Geteuid(), always)
	for name, want := range map[string]os.FileMode{".": 0o711, configName: 0o444, credentialsName: 0o444, socketName: 0o600} {
		info, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %v", name, info.Mode(), err, want)
		}
	}
}
