package agent

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const headlessVariable = "AGENT_TEST_HEADLESS"

func init() {
	if os.Getenv(headlessVariable) != "" {
		runtime.LockOSThread() // main then runs on the first thread
	}
}

// headless ends the first thread of this process alone: the process table shows
// it as ended, and another thread goes on. That one writes the pid to file.
func headless(file string) {
	go func() {
		for {
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", os.Getpid())); err == nil && bytes.Contains(b, []byte(") Z ")) {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if err := os.WriteFile(file+".new", []byte(strconv.Itoa(os.Getpid())), 0o600); err == nil {
			_ = os.Rename(file+".new", file)
		}
		for {
			time.Sleep(time.Hour)
		}
	}()
	_, _, _ = unix.Syscall(unix.SYS_EXIT, 0, 0, 0)
}

func TestAProcessWhoseFirstThreadIsGoneIsEnded(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pid")
	_, _, wait := startAgent(t, Header{Env: []string{headlessVariable + "=" + file}, Grace: 50 * time.Millisecond},
		"setsid '"+self+"' >/dev/null 2>&1 &\nuntil [ -s "+file+" ]; do sleep 0.01; done")
	r := wait()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(b))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err == nil || r != (Result{}) {
		t.Errorf("it still lived (%v): %+v", err, r)
	}
}
