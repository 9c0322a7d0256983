package vend

import (
	"net"
	"slices"
	"sync"
)

// crowd is a listener with at most max open connections: one more closes the
// oldest. A genuine client is done within milliseconds; who holds on is not one.
type crowd struct {
	net.Listener
	max int

	mu   sync.Mutex
	open []*member // oldest first
}

type member struct {
	net.Conn
	crowd *crowd
}

// Accept gives the next connection.
func (c *crowd) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	m := &member{conn, c}
	c.mu.Lock()
	c.open = append(c.open, m)
	var oldest *member
	if len(c.open) > c.max {
		oldest = c.open[0]
		c.open = slices.Delete(c.open, 0, 1)
	}
	c.mu.Unlock()
	if oldest != nil {
		_ = oldest.Conn.Close()
	}
	return m, nil
}

// Close closes the connection and makes room for another.
func (m *member) Close() error {
	m.crowd.mu.Lock()
	m.crowd.open = slices.DeleteFunc(m.crowd.open, func(o *member) bool { return o == m })
	m.crowd.mu.Unlock()
	return m.Conn.Close()
}
