package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// Serve is the end in the container. It listens on a free port of 127.0.0.1 and
// relays what connects over in and out, until in ends or nothing came from it
// for silence (0: only its end counts).
func Serve(ctx context.Context, in io.Reader, out io.Writer, silence time.Duration) error {
	listen := net.ListenConfig{KeepAlive: -1} // a connection lives for seconds
	listen.SetMultipathTCP(false)
	ln, err := listen.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = ln.Close() }()
	l := newLink(out, maxOpen)
	defer l.close()
	if err := l.send(frame{kind: ready, data: []byte(ln.Addr().String())}); err != nil {
		return err
	}
	go l.accept(ln)
	return l.follow(in, silence)
}

// accept gives each connection a number of its own.
func (l *link) accept(ln net.Listener) {
	for id := uint32(1); ; id++ {
		c, err := ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of files, for a moment
			time.Sleep(10 * time.Millisecond)
			continue
		}
		m, ok := l.add(id, c)
		if !ok {
			_ = c.Close()
			continue
		}
		if l.send(frame{id: id, kind: begin}) != nil {
			_ = c.Close()
			return
		}
		go m.run()
	}
}

// follow handles what comes from the client of the Engine.
func (l *link) follow(in io.Reader, silence time.Duration) error {
	frames, failed := make(chan frame), make(chan error, 1)
	go func() {
		for {
			f, err := readFrame(in)
			if err != nil {
				failed <- err
				return
			}
			frames <- f
		}
	}()
	for {
		var over <-chan time.Time
		if silence > 0 {
			over = time.After(silence)
		}
		select {
		case f := <-frames:
			if f.kind == data || f.kind == end {
				l.take(f)
			}
		case err := <-failed:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case <-over:
			return errors.New("nothing came for " + silence.String())
		}
	}
}
