package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
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
// mounted, so its name leads nowhere else. An earlier job may have given it to
// another user and closed it to all others: so it is not opened for reading, and
// hold has CAP_FOWNER until it is done.
func openDir(dir string) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open volume %s: %w", dir, err)
	}
	defer func() { _ = unix.Close(fd) }()
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return fmt.Errorf("open volume %s: %w", dir, err)
	}
	if stat.Mode&^unix.S_IFMT == 0o777 {
		return nil
	}
	if err := os.Chmod("/proc/self/fd/"+strconv.Itoa(fd), 0o777); err != nil { //nolint:gosec // every user is meant
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
