// Package relay brings connections out of a container: whatever connects to a
// port on the container's own loopback is a connection that this process
// accepts. One end (Serve) is in the container, the other (Listen) is with the
// client of the Engine; between them is one stream, the standard input and output
// of a process in the container.
//
// It promises that nothing a connection sends or withholds holds up another one
// or grows without bound, that neither end believes the other, and that the
// listening ends with the stream, or when nothing came over it for a while: an
// Engine that was killed closes nothing. What the bytes mean it does not know.
package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// The limits of what is relayed: requests of some hundred bytes and answers of
// some thousand.
const (
	maxData   = 16 << 10               // bytes of a frame
	maxQueue  = 256 << 10              // bytes that wait for a reader, per connection
	maxOpen   = 128                    // connections at once
	slowLimit = 5 * time.Second        // for a reader of what waits
	lingering = 500 * time.Millisecond // for a writer after the last of it
)

// kind is what a frame is for.
type kind byte

const (
	ready kind = 1 + iota // the address in the container; the first frame from there
	begin                 // a connection was accepted
	data                  // bytes of it
	end                   // it is over, for both directions
	beat                  // the client of the Engine is still there
)

// frame is what goes over the stream: the connection's number (4 bytes), the
// kind (1), the length of what follows (2).
type frame struct {
	id   uint32
	kind kind
	data []byte
}

const headSize = 7

func readFrame(r io.Reader) (frame, error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	f := frame{id: binary.BigEndian.Uint32(head[:4]), kind: kind(head[4]), data: make([]byte, binary.BigEndian.Uint16(head[5:]))}
	if f.kind < ready || f.kind > beat || len(f.data) > maxData {
		return frame{}, errors.New("what came is not of this version")
	}
	_, err := io.ReadFull(r, f.data)
	return f, err
}

// link is one end of the stream.
type link struct {
	writing sync.Mutex
	out     io.Writer

	mu    sync.Mutex
	conns map[uint32]*conn
	most  int // so many at once
	over  bool
}

func newLink(out io.Writer, most int) *link {
	return &link{out: out, conns: map[uint32]*conn{}, most: most}
}

func (l *link) send(f frame) error {
	b := binary.BigEndian.AppendUint32(make([]byte, 0, headSize+len(f.data)), f.id)
	b = append(b, byte(f.kind))
	b = binary.BigEndian.AppendUint16(b, uint16(len(f.data))) //nolint:gosec // callers keep to maxData
	b = append(b, f.data...)
	l.writing.Lock()
	defer l.writing.Unlock()
	_, err := l.out.Write(b)
	return err
}

// add takes part in a connection under a number; false if there are too many,
// the number is taken, or the link is over. The caller then closes it.
func (l *link) add(id uint32, c net.Conn) (*conn, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, taken := l.conns[id]; taken || l.over || len(l.conns) >= l.most {
		return nil, false
	}
	m := &conn{Conn: c, id: id, link: l, wake: make(chan struct{}, 1), read: make(chan struct{})}
	l.conns[id] = m
	return m, true
}

// take handles a frame that both ends know.
func (l *link) take(f frame) {
	l.mu.Lock()
	c := l.conns[f.id]
	l.mu.Unlock()
	switch {
	case c == nil: // it has just ended here
	case f.kind == data && c.queue(f.data):
	default:
		c.finish(f.kind == end)
	}
}

func (l *link) drop(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns[c.id] == c {
		delete(l.conns, c.id)
	}
}

// close ends every connection and lets none begin.
func (l *link) close() {
	l.mu.Lock()
	conns := l.conns
	l.conns, l.over = map[uint32]*conn{}, true
	l.mu.Unlock()
	for _, c := range conns {
		c.finish(false)
	}
}

// local is an address on the loopback of the container; names are not looked up.
func local(text string) (net.Addr, error) {
	addr, err := netip.ParseAddrPort(text)
	if err != nil || addr.Addr() != netip.AddrFrom4([4]byte{127, 0, 0, 1}) || addr.Port() == 0 {
		return nil, fmt.Errorf("%q is no address on loopback", text)
	}
	return net.TCPAddrFromAddrPort(addr), nil
}
