package vend

import (
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// maxTrusted is how many connections of a crowd are kept at most while others
// come. A job's tools may all wait for a renewal at once; that many are rare.
const maxTrusted = 32

// crowd is a listener with at most max open connections, which is more than
// maxTrusted: one more closes the oldest that is not trusted. A genuine client
// has said who it is within milliseconds; who does not is none.
type crowd struct {
	net.Listener
	max int

	mu     sync.Mutex
	open   []*member // oldest first
	closed bool
}

type member struct {
	net.Conn
	crowd *crowd

	trusted bool // under crowd.mu
}

// trust keeps the connection though others come, but for too many such.
func (m *member) trust() {
	m.crowd.mu.Lock()
	defer m.crowd.mu.Unlock()
	m.trusted = m.crowd.trusted() < maxTrusted
}

// trusted is how many of the open connections are; call it with mu held.
func (c *crowd) trusted() (n int) {
	for _, m := range c.open {
		if m.trusted {
			n++
		}
	}
	return n
}

// serve answers each connection until Close. answer must not wait for ever, and
// closes the connection.
func (c *crowd) serve(answer func(*member)) {
	for {
		conn, err := c.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of files, for a moment
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if m := c.admit(conn); m != nil {
			go answer(m)
		}
	}
}

// admit makes conn one of the crowd; nil after Close.
func (c *crowd) admit(conn net.Conn) *member {
	m := &member{Conn: conn, crowd: c}
	c.mu.Lock()
	var gone net.Conn
	switch {
	case c.closed:
		gone, m = conn, nil
	case len(c.open) == c.max:
		i := max(slices.IndexFunc(c.open, func(m *member) bool { return !m.trusted }), 0)
		gone = c.open[i].Conn
		c.open = slices.Delete(c.open, i, i+1)
		fallthrough
	default:
		c.open = append(c.open, m)
	}
	c.mu.Unlock()
	if gone != nil {
		_ = gone.Close()
	}
	return m
}

// Close ends the listening and closes every connection.
func (c *crowd) Close() error {
	c.mu.Lock()
	open := c.open
	c.open, c.closed = nil, true
	c.mu.Unlock()
	for _, m := range open {
		_ = m.Conn.Close()
	}
	return c.Listener.Close()
}

// Close closes the connection and makes room for another.
func (m *member) Close() error {
	m.crowd.mu.Lock()
	if i := slices.Index(m.crowd.open, m); i >= 0 {
		m.crowd.open = slices.Delete(m.crowd.open, i, i+1)
	}
	m.crowd.mu.Unlock()
	return m.Conn.Close()
}
