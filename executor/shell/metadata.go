package shell

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"envrole/roles/fault"
)

const (
	// probeArg is the hidden argument by which a stage, started again as the
	// job's user, becomes the probe.
	probeArg = "--probe-metadata"
	// probeTimeout is for one connection. The service is on the same host or
	// hypervisor and answers within a millisecond; but silence counts as out of
	// reach until the host starts anew, so one lost packet must not pass for it:
	// the kernel sends the first one again after a second.
	probeTimeout = 1500 * time.Millisecond
	// probeEnd is the probe's last line: without it, it has not looked.
	probeEnd = "end"
)

// MetadataAddresses are where cloud hosts hand out their own credentials: EC2's
// instance metadata over IPv4 and IPv6, ECS's container endpoint, and that of
// EKS Pod Identity over IPv4 and IPv6.
func MetadataAddresses() []string {
	return []string{"169.254.169.254:80", "169.254.170.2:80", "169.254.170.23:80", "[fd00:ec2::254]:80", "[fd00:ec2::23]:80"}
}

// ProbeMetadata returns those of addrs (host:port; MetadataAddresses if none is
// given) that accept a connection from the job's user. That nothing is reachable
// is remembered in stateDir until the host starts anew; that something is, not,
// so that an administrator's remedy works at once. An error means that it is not
// known: treat it as reachable. The program must call ProbeMain first in main.
func ProbeMetadata(ctx context.Context, p Plan, stateDir string, addrs ...string) (reachable []string, err error) {
	if len(addrs) == 0 {
		addrs = MetadataAddresses()
	}
	known := probeRecord(p.UID, addrs)
	if known.holds(stateDir) {
		return nil, nil
	}
	if p.SwitchUser {
		reachable, err = probeAs(ctx, p, addrs)
	} else {
		reachable, err = probe(ctx, addrs)
	}
	if err != nil {
		return nil, fault.New(fault.Internal, "try metadata services as user", p.User, err, "")
	}
	if len(reachable) == 0 {
		known.keep(stateDir)
	}
	return reachable, nil
}

// ProbeMain is called first in main of each program that calls ProbeMetadata,
// with os.Args. If the program was started as the probe it does that work,
// writes the result to standard output and returns true: main then returns.
func ProbeMain(args []string) bool {
	if len(args) < 2 || args[1] != probeArg {
		return false
	}
	reachable, err := probe(context.Background(), args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return true
	}
	for _, addr := range reachable {
		fmt.Println(addr)
	}
	fmt.Println(probeEnd)
	return true
}

// probeAs probes in a process of the job's user: packet filters go by the user
// that made the socket.
func probeAs(ctx context.Context, p Plan, addrs []string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*probeTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{probeArg}, addrs...)...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = []string{}, "/", &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.credential()}
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run probe: %w", err)
	}
	var reachable []string
	for lines := bufio.NewScanner(&stdout); lines.Scan(); {
		switch line := lines.Text(); {
		case line == probeEnd:
			return reachable, nil
		case slices.Contains(addrs, line):
			reachable = append(reachable, line)
		}
	}
	return nil, fmt.Errorf("probe gave no result: %q", stderr.String())
}

// probe connects to all addresses at once.
func probe(ctx context.Context, addrs []string) ([]string, error) {
	results := make([]error, len(addrs))
	var wg sync.WaitGroup
	for i, addr := range addrs {
		wg.Go(func() {
			d := net.Dialer{Timeout: probeTimeout}
			conn, err := d.DialContext(ctx, "tcp", addr)
			if err == nil {
				err = conn.Close()
			}
			results[i] = err
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	var reachable []string
	for i, err := range results {
		switch {
		case err == nil:
			reachable = append(reachable, addrs[i])
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.ENOBUFS):
			return nil, err // says nothing about the address
		}
	}
	return reachable, nil
}
