package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"envrole/executor/docker"
	"envrole/executor/docker/agent"
)

const (
	// lastLines and maxLastLines bound what is shown of a service that does not
	// answer.
	lastLines    = "50"
	maxLastLines = 64 << 10
)

// startServices starts the holders of all networks, then the services, and
// waits for those.
func (e *Engine) startServices(ctx context.Context, a *api, agentID string, images []image, log io.Writer) error {
	n := len(images)
	addresses := make([]netip.Addr, n)
	var holders, services []func(context.Context) error
	for i := range images {
		holders = append(holders, func(ctx context.Context) (err error) {
			if err := a.begin(ctx, e.holderOptions(i+1, agentID, nil), log); err != nil {
				return err
			}
			addresses[i], err = e.address(ctx, a, e.holder(i+1))
			return err
		})
		services = append(services, func(ctx context.Context) error {
			if err := a.create(ctx, e.serviceOptions(i, images[i].id)); err != nil {
				return err
			}
			return a.start(ctx, e.plan.ContainerName(docker.RoleService, i))
		})
	}
	own := func(ctx context.Context) error {
		return a.begin(ctx, e.holderOptions(0, agentID, e.serviceHosts(addresses)), log)
	}
	if e.plan.Network == "" {
		holders = append(holders, own) // the network itself tells the names
	}
	if err := together(ctx, holders...); err != nil {
		return err
	}
	if e.plan.Network != "" {
		if err := own(ctx); err != nil {
			return err
		}
	}
	if err := together(ctx, services...); err != nil {
		return err
	}
	if n == 0 || e.plan.ServiceWait <= 0 {
		return nil
	}
	say(log, "waiting for %d service(s), up to %s", n, e.plan.ServiceWait)
	var waits []func(context.Context) error
	for i := range images {
		waits = append(waits, func(ctx context.Context) error { return e.await(ctx, a, i, images[i], addresses[i], log) })
	}
	return together(ctx, waits...)
}

// serviceHosts gives the services' names for a network that does not tell them:
// other jobs may be on it.
func (e *Engine) serviceHosts(addresses []netip.Addr) []string {
	var hosts []string
	if e.plan.Network == "" {
		return nil
	}
	for i, c := range e.plan.Services {
		for _, name := range c.Aliases {
			if addresses[i].IsValid() {
				hosts = append(hosts, name+":"+addresses[i].String())
			}
		}
	}
	return hosts
}

// address is that of a holder on the job's network; none where the network gives
// none.
func (e *Engine) address(ctx context.Context, a *api, name string) (addr netip.Addr, err error) {
	err = a.call(ctx, "inspect container "+name, func(ctx context.Context) error {
		got, err := a.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
		if err != nil {
			return err
		}
		if got.Container.NetworkSettings != nil {
			for _, endpoint := range got.Container.NetworkSettings.Networks {
				if endpoint != nil && endpoint.IPAddress.IsValid() {
					addr = endpoint.IPAddress
				}
			}
		}
		return nil
	})
	return addr, err
}

// await waits until a port of service i answers at its address on the job's
// network, from the service's own holder: one has no room for a process of each
// service. A service that does not is shown with its last lines, and the job goes
// on: it may know better.
func (e *Engine) await(ctx context.Context, a *api, i int, im image, addr netip.Addr, log io.Writer) error {
	ports, notes := readyPorts(e.plan.Services[i], im)
	for _, note := range notes {
		say(log, "%s", note)
	}
	if len(ports) == 0 || !addr.IsValid() {
		return nil // there is nothing to ask
	}
	name := e.plan.ContainerName(docker.RoleService, i)
	args := []string{"wait", e.plan.ServiceWait.String()}
	for _, port := range ports {
		args = append(args, net.JoinHostPort(addr.String(), port))
	}
	died := errors.New("it has ended")
	watched, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() {
		over := a.ContainerWait(watched, name, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
		select {
		case r := <-over.Result:
			end(fmt.Errorf("%w with exit code %d", died, r.StatusCode))
		case <-over.Error: //nolint:errcheck // then only the answer counts
		case <-watched.Done():
		}
	}()
	_, err := a.ask(watched, e.plan.ServiceWait+a.timeout, e.holder(i+1), "", nil, agent.Path, args...)
	if err == nil || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	text := strings.TrimPrefix(err.Error(), "envrole agent: ")
	var b bytes.Buffer
	fmt.Fprintf(&b, "envrole: warning: service %s probably did not start: %s\n", im.name, text)
	if last := a.lastLines(ctx, name); len(last) > 0 {
		fmt.Fprintf(&b, "envrole: the last lines of service %s:\n%s\n", im.name, bytes.TrimRight(last, "\n"))
	}
	_, err = log.Write(b.Bytes())
	return err
}

// lastLines is the end of a container's log.
func (a *api) lastLines(ctx context.Context, name string) []byte {
	ctx, cancel := context.WithTimeout(ctx, min(a.timeout, 10*time.Second))
	defer cancel()
	r, err := a.ContainerLogs(ctx, name, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: lastLines})
	if err != nil {
		return []byte("(the Engine does not give them: " + err.Error() + ")")
	}
	defer r.Close()
	var b bytes.Buffer
	_ = demultiplex(io.LimitReader(r, maxLastLines), &b, &b, func() {})
	return b.Bytes()
}
