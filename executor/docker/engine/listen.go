package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"envrole/executor"
	"envrole/executor/docker/agent"
	"envrole/executor/docker/relay"
	"envrole/roles/fault"
)

var _ executor.Loopback = (*Engine)(nil)

// Listen implements executor.Loopback: one more process of the agent, in the
// job's container, relays what connects there. It runs as root, so that an image's
// own user can neither end it nor take its place.
func (e *Engine) Listen(ctx context.Context) (net.Listener, error) {
	a, err := e.dial()
	if err != nil {
		return nil, err
	}
	beat := orElse(e.beat, heartbeat)
	s, err := a.open(ctx, e.jobContainer(), "0:0", e.agentPath(), agent.Flag, "listen", (silentBeats * beat).String())
	if err != nil {
		_ = a.Close()
		return nil, err
	}
	out, in := io.Pipe()
	hangUp := func() {
		s.close()
		_, _ = out.Close(), a.Close()
	}
	var complaint []byte
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var err error
		complaint, err = s.copyTo(in, s.close, nil)
		_ = in.CloseWithError(err) // nil is the end of what was said
	}()
	stop := context.AfterFunc(ctx, hangUp)
	ln, err := relay.Listen(out, s.stream.Conn, beat, hangUp)
	if stop(); err == nil && ctx.Err() == nil {
		return ln, nil
	}
	hangUp()
	<-ended
	if ctx.Err() != nil {
		return nil, fmt.Errorf("listen in container %s: %w", e.jobContainer(), context.Cause(ctx))
	}
	if said := bytes.TrimSpace(complaint); len(said) > 0 {
		err = errors.New(string(said))
	}
	return nil, fault.New(fault.Passing, "listen in container", e.jobContainer(), err, "")
}
