package shell

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

func init() {
	if os.Getenv(helperVariable) == "headless" {
		runtime.LockOSThread() // main then runs on the first thread
	}
}

// headless ends the first thread of this process alone: the process table shows
// it as ended, and another thread goes on for ever. That one writes the pid.
func headless(pidfile string) error {
	if unix.Gettid() != unix.Getpid() {
		return fmt.Errorf("thread %d is not the first one", unix.Gettid())
	}
	go func() {
		for {
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", os.Getpid())); err == nil && bytes.Contains(b, []byte(") Z ")) {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if err := os.WriteFile(pidfile+".new", fmt.Appendln(nil, os.Getpid()), 0o600); err == nil {
			_ = os.Rename(pidfile+".new", pidfile)
		}
		for {
			time.Sleep(time.Hour)
		}
	}()
	_, _, errno := unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
	return errno
}

// lives asks each thread of a process: the first one may have ended before the
// others.
func lives(pid int) bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue
		}
		if rest := b[bytes.LastIndexByte(b, ')')+1:]; len(rest) > 1 && rest[1] != 'Z' && rest[1] != 'X' {
			return true
		}
	}
	return false
}
