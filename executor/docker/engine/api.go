package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"envrole/roles/fault"
)

// api is the Engine's client, with a deadline for each call and errors that say
// what to do.
type api struct {
	*client.Client
	address string
	timeout time.Duration
	logs    container.LogConfig // of containers that it makes; see boundLogs
}

// dial makes the client. It does not connect yet. The TLS material of a remote
// Engine is where Docker's own programs look for it.
func (e *Engine) dial() (*api, error) {
	address := e.plan.Engine
	opts := []client.Opt{client.WithHost(address), client.WithUserAgent("envrole")}
	if e.plan.TLSCA != "" {
		opts = append(opts, client.WithTLSClientConfig(e.plan.TLSCA, e.plan.TLSCert, e.plan.TLSKey))
	}
	c, err := client.New(opts...)
	if err != nil {
		return nil, fault.New(fault.Permanent, "use the Engine at", address, err, "Set executor.docker.host to its address, as in \"unix:///var/run/docker.sock\".")
	}
	return &api{Client: c, address: address, timeout: orElse(e.plan.Timeout, defaultTimeout)}, nil
}

// call makes one call with the deadline of calls, and classifies its error. op
// says what was being done and to what.
func (a *api) call(ctx context.Context, op string, f func(context.Context) error) error {
	return a.within(ctx, a.timeout, op, f)
}

// make makes one call by which something comes to be. Once it is asked for, the
// answer is waited for also if ctx ends: the Engine may make it all the same, and
// who cleans up then must find it.
func (a *api) make(ctx context.Context, op string, f func(context.Context) error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	}
	if err := a.call(context.WithoutCancel(ctx), op, f); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	}
	return nil
}

func (a *api) within(ctx context.Context, bound time.Duration, op string, f func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	err := f(bounded)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	}
	if bounded.Err() != nil {
		return fault.New(fault.Passing, op, "", fmt.Errorf("the Engine at %s did not answer within %s", a.address, bound),
			"See whether dockerd is overloaded or its disk slow: journalctl -u docker. What it may still do later, envrole sweep removes.")
	}
	return a.classify(op, err)
}

// classify turns an error of the Engine into a fault.
func (a *api) classify(op string, err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	var network net.Error
	text := err.Error()
	switch {
	case strings.Contains(text, "no space left on device"):
		return fault.New(fault.Passing, op, "", err, "The disk of the Engine at "+a.address+" is full: see `docker system df`, and remove images or volumes that nobody needs.")
	case strings.Contains(text, "address pool"):
		return fault.New(fault.Passing, op, "", err, "The Engine has no network left for another job: widen default-address-pools in /etc/docker/daemon.json, or remove networks that nobody uses.")
	case client.IsErrConnectionFailed(err), errors.As(err, &network), strings.Contains(text, "EOF"), strings.Contains(text, "connection reset"), strings.Contains(text, "cannot connect"):
		return fault.New(fault.Passing, op, "", fmt.Errorf("the Engine at %s cannot be reached: %w", a.address, err),
			"See that dockerd runs there and that the runner's user may connect: systemctl status docker.")
	case cerrdefs.IsNotFound(err) && strings.Contains(text, "No such image"): // it was there when it was looked for
		return fault.New(fault.Passing, op, "", err, "Somebody removed the image meanwhile: docker image prune, by a timer perhaps.")
	case cerrdefs.IsInvalidArgument(err), cerrdefs.IsNotFound(err), cerrdefs.IsPermissionDenied(err), cerrdefs.IsUnauthorized(err), cerrdefs.IsNotImplemented(err):
		return fault.New(fault.Permanent, op, "", err, "See executor.docker in the configuration, and the job's image and services.")
	}
	return fault.New(fault.Passing, op, "", err, "")
}

// ping makes sure that the Engine answers, and settles the version of its API.
func (a *api) ping(ctx context.Context) error {
	return a.call(ctx, "connect to the Engine", func(ctx context.Context) error {
		pong, err := a.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
		if err != nil {
			return err
		}
		if pong.OSType != "" && pong.OSType != "linux" {
			return fault.New(fault.Permanent, "use the Engine at", a.address, fmt.Errorf("it runs %s containers", pong.OSType), "Only Linux containers are supported.")
		}
		return nil
	})
}
