package agent

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// blockOnly makes the test binary do only that: giving up capabilities, which
// hold does next, needs a binary without cgo.
const blockOnly = "block-only"

// blockIn runs block in a network namespace of its own, and gives its complaint.
func blockIn(t *testing.T, attr *syscall.SysProcAttr) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, blockOnly)
	cmd.SysProcAttr = attr
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	started := make(chan error)
	go func() {
		// Never unlocked: the thread has changed its namespace, and ends here.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = cmd.Start()
		}
		started <- err
	}()
	if err := <-started; err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("NOT TESTED, no namespaces: %v", err)
	}
	if err := cmd.Wait(); (err == nil) != (complaint.Len() == 0) {
		t.Errorf("%v, and it says %q", err, complaint.String())
	}
	return complaint.String()
}

func TestABlockThatCannotStandIsAnError(t *testing.T) {
	if complaint := blockIn(t, nil); complaint != "" {
		t.Errorf("with the right to filter: %s", complaint)
	}
	// Root of another user namespace has no rights in this network: as where the
	// kernel takes no filter, nothing may start.
	id := []syscall.SysProcIDMap{{HostID: 0, ContainerID: 0, Size: 1}}
	complaint := blockIn(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: id, GidMappings: id})
	if !strings.Contains(complaint, "executor.docker.metadata") || !strings.Contains(complaint, "nf_tables") {
		t.Errorf("without: %q", complaint)
	}
}

func TestAnAnswerOfTheKernelIsNothingButAcknowledgements(t *testing.T) {
	ack := func(code int32) []byte {
		return message{kind: unix.NLMSG_ERROR, body: append(number32(code), make([]byte, 16)...)}.encode(1)
	}
	if n, err := acknowledged(append(ack(0), ack(0)...)); n != 2 || err != nil {
		t.Errorf("two: %d %v", n, err)
	}
	if n, err := acknowledged(append(ack(0), ack(-int32(unix.EPERM))...)); n != 1 || err != unix.EPERM { //nolint:errorlint // exactly
		t.Errorf("a complaint: %d %v", n, err)
	}
	for name, answer := range map[string][]byte{
		"cut short": ack(0)[:10], "no acknowledgement": message{kind: unix.NLMSG_DONE, body: make([]byte, 20)}.encode(1),
		"no length": append(make([]byte, 4), ack(0)[4:]...),
	} {
		if n, err := acknowledged(answer); err == nil {
			t.Errorf("%s: %d", name, n)
		}
	}
}

func number32(n int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }
