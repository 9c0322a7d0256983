package vend

import (
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// crowd is a listener with at most max open connections: one more closes the
// oldest. A genuine client is done within milliseconds; who holds on is not one.
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
	m := &member{conn, c}
	c.mu.Lock()
	var gone net.Conn
	switch {
	case c.closed:
		gone, m = conn, nil
	case len(c.open) == c.max:
		gone = c.open[0].Conn
		c.open = slices.Delete(c.open, 0, 1)
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
