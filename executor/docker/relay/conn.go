package relay

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// conn is a connection of this end, whose bytes go over the link and come from
// there. Two goroutines serve it: run, and write, which has the last word.
type conn struct {
	net.Conn
	id   uint32
	link *link
	wake chan struct{} // something was added to waiting, or it is the last
	read chan struct{} // closed when nothing is read from the connection any more

	mu      sync.Mutex
	waiting []byte
	last    bool // nothing is added to waiting any more
}

// halfCloser is a connection that can say that nothing more comes, and still be
// read.
type halfCloser interface{ CloseWrite() error }

// run passes bytes both ways until the connection is over.
func (c *conn) run() {
	go c.write()
	defer close(c.read)
	buf := make([]byte, maxData)
	for {
		n, err := c.Read(buf)
		if n > 0 && c.link.send(frame{c.id, data, buf[:n]}) != nil {
			c.finish(false)
			return
		}
		if err == nil {
			continue
		}
		if _, half := c.Conn.(halfCloser); !half || !errors.Is(err, io.EOF) {
			c.finish(false)
		}
		// Who has only said all may still wait for the answer: the other end
		// has a limit for that.
		return
	}
}

// write writes what waits, and closes the connection after the last of it.
func (c *conn) write() {
	defer c.leave()
	for range c.wake {
		c.mu.Lock()
		b, last := c.waiting, c.last
		c.waiting = nil
		c.mu.Unlock()
		if len(b) > 0 {
			if err := c.SetWriteDeadline(time.Now().Add(slowLimit)); err != nil {
				return
			}
			if _, err := c.Write(b); err != nil {
				return
			}
		}
		if last {
			return
		}
	}
}

// queue adds to what is to be written; false if too much waits already.
func (c *conn) queue(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last || len(c.waiting)+len(b) > maxQueue {
		return false
	}
	c.waiting = append(c.waiting, b...)
	c.stir()
	return true
}

// finish ends the connection: after what waits has been written, or at once.
func (c *conn) finish(politely bool) {
	c.mu.Lock()
	c.last = true
	if !politely {
		c.waiting = nil
	}
	c.stir()
	c.mu.Unlock()
	if !politely {
		_ = c.Close()
	}
}

func (c *conn) stir() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// leave closes the connection. The kernel throws away what the peer has not yet
// read if the peer has sent what nobody read: so that is read first. The other
// end hears of it after the last that was read: run may still be sending that.
func (c *conn) leave() {
	if half, ok := c.Conn.(halfCloser); ok && half.CloseWrite() == nil && c.SetReadDeadline(time.Now().Add(lingering)) == nil {
		<-c.read
	}
	_ = c.Close()
	<-c.read
	c.link.drop(c)
	_ = c.link.send(frame{id: c.id, kind: end})
}
