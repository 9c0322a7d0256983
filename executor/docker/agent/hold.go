package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// BlockArg asks hold for blocked metadata services.
	BlockArg = "block"
	// OpenArg followed by directories, asks hold to let every user write there.
	OpenArg = "open="
)

// hold is the main process of the container that owns a network: before any
// other joins it, it blocks the metadata services and opens the volumes to the
// users of any image. It says Ready only when that stands, and then only waits.
func hold(args []string, out io.Writer) error {
	for _, arg := range args {
		if dir, ok := strings.CutPrefix(arg, OpenArg); ok {
			if err := openDir(dir); err != nil {
				return err
			}
		}
	}
	if slices.Contains(args, BlockArg) {
		if err := block(); err != nil {
			return err
		}
	}
	if err := drop(); err != nil {
		return err
	}
	if code := idle(out); code != 0 {
		return errors.New("wait: cannot say so")
	}
	return nil
}

// openDir lets every user write into a volume: a helper of root and a job of
// another user work in the same one. It is a directory that the Engine has just
// mounted, so its name leads nowhere else.
func openDir(dir string) error {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0) //nolint:gosec // the plan names it
	if err != nil {
		return fmt.Errorf("open volume: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open volume: %w", err)
	}
	if info.Mode().Perm() == 0o777 {
		return nil
	}
	if err := f.Chmod(0o777); err != nil {
		return fmt.Errorf("let every user write into %s: %w", dir, err)
	}
	return nil
}

// drop gives up every capability: what holds the network needs none any more.
func drop() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	// Capabilities are a thread's, and this program has several.
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&none[0])), 0); errno != 0 { //nolint:gosec // as capset(2) wants it
		err := error(errno)
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}
