package agent

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// idle is the main process of a container in which scripts are run: it waits,
// and reaps what others leave to it as the first process.
func idle(out io.Writer) int {
	// Registered before the word: whoever has read it may stop the container.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	child := make(chan os.Signal, 1)
	signal.Notify(child, syscall.SIGCHLD)
	signal.Ignore(syscall.SIGPIPE, syscall.SIGHUP) // whoever reads the word goes away
	if err := writeLine(out, Ready); err != nil {
		return report(err)
	}
	for {
		select {
		case <-stop:
			return 0
		case <-child:
			reap()
		}
	}
}

// reap waits for every child that has ended.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}

// isIdle says whether the process runs idle.
func isIdle(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return err == nil && (bytes.HasSuffix(b, []byte("\x00"+Flag+"\x00idle\x00")) || alone(strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")))
}
