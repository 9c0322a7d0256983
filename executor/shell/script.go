package shell

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// scriptLimit bounds what is copied into memory. The runner writes scripts of
// some tens of KiB; all job variables together are far below this.
const scriptLimit = 256 << 20

// scriptFD is where the script lies in the shell that runs it: the first file
// after standard error.
const scriptFD = "/proc/self/fd/3"

// sealedScript copies the script into an anonymous file that can no longer be
// changed. The runner's file is its own, mode 0700, below a directory of mode
// 0700; the job's user gets this copy as an inherited file and nobody else has
// a name for it. Close it after the shell has started.
func sealedScript(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open script", Path: path, Err: err}
	}
	src := os.NewFile(uintptr(fd), path)
	defer src.Close()
	if info, err := src.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open script %s: not a regular file", path)
	}
	mem, err := unix.MemfdCreate("script", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		mem, err = unix.MemfdCreate("script", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, fmt.Errorf("make memory file for script: %w", err)
	}
	dst := os.NewFile(uintptr(mem), "script")
	n, err := io.Copy(dst, io.LimitReader(src, scriptLimit+1))
	if err == nil && n > scriptLimit {
		err = fmt.Errorf("larger than %d bytes", scriptLimit)
	}
	if err == nil {
		_, err = unix.FcntlInt(dst.Fd(), unix.F_ADD_SEALS,
			unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	}
	if err != nil {
		dst.Close()
		return nil, fmt.Errorf("copy script %s: %w", path, err)
	}
	return dst, nil
}
