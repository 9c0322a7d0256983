package lease

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Between opening and locking, the file may be removed with its lease, and a
// new one made that others lock.
func TestALockOnARemovedFileIsNone(t *testing.T) {
	path := t.TempDir() + "/x.lock"
	old, err := tryLock(path, unix.LOCK_EX)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Close() }()
	if ok, err := stillThere(old, path); !ok || err != nil {
		t.Errorf("a fresh lock: %v, %v", ok, err)
	}
	if _, err := tryLock(path, unix.LOCK_EX); !errors.Is(err, errBusy) {
		t.Errorf("a second lock = %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if ok, err := stillThere(old, path); ok || err != nil {
		t.Errorf("a removed lock: %v, %v", ok, err)
	}
	fresh, err := tryLock(path, unix.LOCK_EX)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fresh.Close() }()
	if ok, err := stillThere(old, path); ok || err != nil {
		t.Errorf("a replaced lock: %v, %v", ok, err)
	}
}
