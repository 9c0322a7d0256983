package settings

import (
	"fmt"
	"os"
	"syscall"
)

// OpenTrusted opens a regular file for reading that nobody but root and the
// current user could have changed, by its mode and those of everything on the
// way to it. What is opened is what was looked at: links are resolved first.
func OpenTrusted(path string) (*os.File, error) {
	real, err := trusted(path, os.Geteuid())
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(real, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", real)
	}
	if err == nil {
		err = checkOwner(real, info, info, os.Geteuid()) // the file itself, not its name
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
