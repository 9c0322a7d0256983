package dockertest

// This file puts listeners into a daemon's network namespace.

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// NetNS is the path of the daemon's network namespace, for nsenter --net=PATH.
func (d *Daemon) NetNS() string { return fmt.Sprintf("/proc/%d/ns/net", d.cmd.Process.Pid) }

// Listen listens on a TCP address of the daemon's network namespace,
// "127.0.0.1:0" for example. It is closed at the end of the test.
func (d *Daemon) Listen(tb testing.TB, address string) net.Listener {
	tb.Helper()
	type result struct {
		l   net.Listener
		err error
	}
	made := make(chan result)
	go func() {
		// Never unlocked: the thread has changed its namespace, and ends here.
		runtime.LockOSThread()
		ns, err := os.Open(d.NetNS())
		if err == nil {
			defer ns.Close()
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		}
		if err != nil {
			made <- result{err: err}
			return
		}
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
		made <- result{l, err}
	}()
	r := <-made
	if r.err != nil {
		tb.Fatalf("dockertest: listen on %s beside the daemon: %v", address, r.err)
	}
	tb.Cleanup(func() { _ = r.l.Close() })
	return r.l
}

// AddAddress gives the daemon's host an address, "169.254.169.254/32" for
// example, until the end of the test.
func (d *Daemon) AddAddress(tb testing.TB, cidr string) {
	tb.Helper()
	add := []string{"ip", "addr", "add", cidr, "dev", "lo"}
	if strings.Contains(cidr, ":") {
		add = append(add, "nodad") // it can be listened on at once
	}
	d.Enter(tb, add...)
	tb.Cleanup(func() { _ = d.enter("ip", "addr", "del", cidr, "dev", "lo").Run() })
}

// Enter runs a program in the daemon's network namespace and gives its output.
func (d *Daemon) Enter(tb testing.TB, argv ...string) string {
	tb.Helper()
	out, err := d.enter(argv...).CombinedOutput()
	if err != nil {
		tb.Fatalf("dockertest: %v: %v\n%s", argv, err, out)
	}
	return string(out)
}

func (d *Daemon) enter(argv ...string) *exec.Cmd {
	return exec.CommandContext(context.Background(), "nsenter", append([]string{"--net=" + d.NetNS(), "--"}, argv...)...)
}
