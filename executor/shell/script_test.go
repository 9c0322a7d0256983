package shell

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A host may forbid memory files that could be executed (vm.memfd_noexec = 2).
func TestTheScriptsMemoryFileCanNotBeExecuted(t *testing.T) {
	if fd, err := unix.MemfdCreate("probe", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL); err != nil {
		t.Skipf("SKIPPED: this kernel is older than 6.3: %v", err)
	} else {
		_ = unix.Close(fd)
	}
	f, err := sealedScript(script(t, "true").Path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if info, statErr := f.Stat(); err != nil || statErr != nil || info.Mode()&0o111 != 0 || seals&unix.F_SEAL_EXEC == 0 {
		t.Errorf("mode %v, seals %#x, %v, %v", info.Mode(), seals, err, statErr)
	}
}
