package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// slack is how many times more connections than the container's end this one
// takes: it hears a little later of those that are over.
const slack = 4

// Listener is the end with the client of the Engine: a net.Listener whose
// address is that in the container.
type Listener struct {
	link     *link
	addr     net.Addr
	accepted chan net.Conn
	done     chan struct{} // closed when the listening is over
	once     sync.Once
	hangUp   func()
}

// Listen waits for the container's end to say where it listens, and takes its
// connections from then on. Every beat it says that it is still there. Close, and
// the end of in, call hangUp, which ends the stream.
func Listen(in io.Reader, out io.Writer, beat time.Duration, hangUp func()) (*Listener, error) {
	first, err := readFrame(in)
	if err == nil && first.kind != ready {
		err = errors.New("it began with something else")
	}
	if err != nil {
		return nil, fmt.Errorf("wait for the address in the container: %w", err)
	}
	addr, err := local(string(first.data))
	if err != nil {
		return nil, err
	}
	ln := &Listener{link: newLink(out, slack*maxOpen), addr: addr, accepted: make(chan net.Conn, slack*maxOpen), done: make(chan struct{}), hangUp: hangUp}
	go ln.follow(in)
	go ln.beat(beat)
	return ln, nil
}

// Accept gives the next connection.
func (ln *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-ln.accepted:
		return c, nil
	case <-ln.done:
		return nil, net.ErrClosed
	}
}

// Addr is the address in the container.
func (ln *Listener) Addr() net.Addr { return ln.addr }

// Close ends the listening in the container, and all connections.
func (ln *Listener) Close() error {
	ln.once.Do(func() {
		close(ln.done)
		ln.link.close()
		ln.hangUp()
	})
	return nil
}

// follow handles what comes from the container.
func (ln *Listener) follow(in io.Reader) {
	defer func() { _ = ln.Close() }()
	for {
		f, err := readFrame(in)
		if err != nil {
			return
		}
		switch f.kind {
		case begin:
			if !ln.admit(f.id) {
				return
			}
		case data, end:
			ln.link.take(f)
		default:
			return
		}
	}
}

// admit makes a connection of what was accepted in the container; false if that
// keeps to nothing of what was agreed.
func (ln *Listener) admit(id uint32) bool {
	ours, theirs := net.Pipe()
	if c, ok := ln.link.add(id, ours); ok {
		select {
		case ln.accepted <- theirs:
			go c.run()
			return true
		default:
		}
	}
	return false
}

// beat says again and again that this end is there.
func (ln *Listener) beat(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ln.done:
			return
		case <-tick.C:
			if ln.link.send(frame{kind: beat}) != nil {
				_ = ln.Close()
				return
			}
		}
	}
}
