package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"envrole/executor/docker"
	"envrole/executor/docker/agent"
	"envrole/roles/fault"
)

const (
	// startBound is how long an image's entrypoint may take.
	startBound = 5 * time.Minute
	// maxStartLine is how much of a line is looked at for the agent's word.
	maxStartLine = 4 << 10
)

// begin makes and starts a container whose main process is the agent, and waits
// for its word that it is ready. What the container says until then goes to log.
func (a *api) begin(ctx context.Context, options client.ContainerCreateOptions, log io.Writer) error {
	if err := a.create(ctx, options); err != nil {
		return err
	}
	var stream client.HijackedResponse
	err := a.call(ctx, "attach to container "+options.Name, func(ctx context.Context) error {
		attached, err := a.ContainerAttach(ctx, options.Name, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
		stream = attached.HijackedResponse
		return err
	})
	if err != nil {
		return err
	}
	defer stream.Close()
	if err := a.start(ctx, options.Name); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, startBound)
	defer cancel()
	stop := context.AfterFunc(bounded, stream.Close)
	defer stop()
	w := &untilReady{out: log}
	_ = demultiplex(stream.Reader, w, w, stream.Close)
	switch {
	case w.ready:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("start container %s: %w", options.Name, context.Cause(ctx))
	case bounded.Err() != nil:
		return fault.New(fault.Permanent, "start container", options.Name, fmt.Errorf("its entrypoint did not come to the command within %s", startBound), entrypointHelp)
	}
	w.flush()
	help := entrypointHelp
	if options.Config.Labels[docker.LabelRole] == roleHolder {
		help = "See executor.docker.network, whether its addresses are those of a metadata service, and whether the kernel of the Engine's host has nf_tables (modprobe nf_tables)."
	}
	return a.diedAtStart(ctx, options.Name, w.tail(), help)
}

const entrypointHelp = "An image's entrypoint must run the command that it is given as arguments. If this one does not, the job can put it aside: image: {name: ..., entrypoint: [\"\"]}."

// create makes a container, and refuses it if its volumes are not this job's.
func (a *api) create(ctx context.Context, options client.ContainerCreateOptions) error {
	options.HostConfig.LogConfig = a.logs
	err := a.make(ctx, "create container "+options.Name, func(ctx context.Context) error {
		_, err := a.ContainerCreate(ctx, options)
		return err
	})
	if err != nil {
		return err
	}
	return a.stillOurs(ctx, options)
}

func (a *api) start(ctx context.Context, name string) error {
	return a.make(ctx, "start container "+name, func(ctx context.Context) error {
		_, err := a.ContainerStart(ctx, name, client.ContainerStartOptions{})
		return err
	})
}

// diedAtStart says why a container ended before it was ready.
func (a *api) diedAtStart(ctx context.Context, name, said, help string) error {
	state, err := a.state(ctx, name)
	if err != nil {
		return err
	}
	why := fmt.Sprintf("it ended with exit code %d", state.code)
	if state.oom {
		why = "it ran out of memory"
	}
	if state.running {
		return fault.New(fault.Passing, "start container", name, errors.New("the Engine ended the connection to it"), "")
	}
	if said != "" {
		why += ": " + said
	}
	return fault.New(fault.Permanent, "start container", name, errors.New(why), help)
}

// state is what became of a container.
type state struct {
	running, oom bool
	code         int
}

func (a *api) state(ctx context.Context, name string) (state, error) {
	var s state
	err := a.call(ctx, "inspect container "+name, func(ctx context.Context) error {
		got, err := a.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
		if err != nil {
			return err
		}
		if got.Container.State == nil {
			return errors.New("the Engine does not say its state")
		}
		s = state{running: got.Container.State.Running, oom: got.Container.State.OOMKilled, code: got.Container.State.ExitCode}
		return nil
	})
	return s, err
}

// untilReady passes on what comes until the agent's word, which ends the writing.
type untilReady struct {
	out   io.Writer
	line  []byte
	last  []byte
	ready bool
}

var errReady = errors.New("ready")

func (u *untilReady) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			u.line = append(u.line, rest...)
			if over := len(u.line) - len(agent.Ready) - 1; over > maxStartLine { // the word may be in the rest
				u.pass(over)
			}
			break
		}
		u.line = append(u.line, rest[:i+1]...)
		rest = rest[i+1:]
		// An entrypoint need not have ended its last line.
		if before, ok := bytes.CutSuffix(u.line, []byte(agent.Ready+"\n")); ok {
			u.line, u.ready = before, true
			u.flush()
			return len(p), errReady
		}
		u.flush()
	}
	return len(p), nil
}

// flush passes on all that waits. What comes next in the log begins a line.
func (u *untilReady) flush() {
	if n := len(u.line); n > 0 && u.line[n-1] != '\n' {
		u.line = append(u.line, '\n')
	}
	u.pass(len(u.line))
}

// pass passes on the first n bytes that wait.
func (u *untilReady) pass(n int) {
	if n == 0 {
		return
	}
	_, _ = u.out.Write(u.line[:n]) // a log that is gone ends the stage elsewhere
	u.last = append(u.last[:0], u.line[:min(n, 400)]...)
	u.line = append(u.line[:0], u.line[n:]...)
}

// tail is the last line, for an error text.
func (u *untilReady) tail() string { return strings.TrimSpace(string(u.last)) }
