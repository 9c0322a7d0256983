package driver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pipeSize is asked for so that the driver seldom waits for the log; it is
	// what the kernel grants a process without privileges by default.
	pipeSize = 1 << 20
	// readSize is how much one read takes at most.
	readSize = 128 << 10
	// drainBound is how long the log waits, after the driver has ended, for a
	// process that still holds its output. The runner itself would wait for ever.
	drainBound = 2 * time.Second
)

// streams carry what a program writes. Where both go to one writer, one pipe
// serves both: then they stay in the order of writing, and a secret cannot be
// split over two.
type streams struct {
	out, err *stream // the same one, or two
}

func newStreams(stdout, stderr io.Writer) (*streams, error) {
	out, err := newStream(stdout)
	if err != nil {
		return nil, err
	}
	if stderr == nil {
		return &streams{out, out}, nil
	}
	second, err := newStream(stderr)
	if err != nil {
		out.write.Close()
		out.read.Close()
		return nil, err
	}
	return &streams{out, second}, nil
}

func (s *streams) stdout() *os.File { return s.out.write }
func (s *streams) stderr() *os.File { return s.err.write }

// started closes this process's writing ends, and begins to copy.
func (s *streams) started() {
	s.out.start()
	if s.err != s.out {
		s.err.start()
	}
}

// drain waits for the end of what was written, and gives the first failure.
func (s *streams) drain() error {
	// Both deadlines first: one wait, not two.
	s.out.bound()
	s.err.bound()
	err := <-s.out.done
	if s.err != s.out {
		err = errors.Join(err, <-s.err.done)
	}
	return err
}

// stream is one pipe and the writer behind it.
type stream struct {
	read, write *os.File
	to          io.Writer
	done        chan error // gets the copy's result, once
}

func newStream(to io.Writer) (*stream, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make output pipe: %w", err)
	}
	_, _ = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, pipeSize) // a smaller pipe works too; Fd makes it blocking, as programs expect
	return &stream{read: r, write: w, to: to, done: make(chan error, 1)}, nil
}

// start passes on what is written. When the writer fails, the pipe is closed,
// and the program ends as it would had the log itself gone away.
func (s *stream) start() {
	s.write.Close()
	go func() {
		err := s.copy()
		s.read.Close()
		s.done <- err
	}()
}

func (s *stream) copy() error {
	buf := make([]byte, readSize)
	limited, left := false, 0 // after the deadline: how much may still be read
	for !limited || left > 0 {
		b := buf
		if limited {
			b = buf[:min(left, len(buf))]
		}
		n, err := s.read.Read(b)
		left -= n
		if n > 0 {
			if _, werr := s.to.Write(b[:n]); werr != nil {
				return fmt.Errorf("write log: %w", werr)
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded) && !limited:
			// What is in the pipe now was written in time, however slow the
			// writer is.
			limited, left = true, s.pending()
			if err := s.read.SetReadDeadline(time.Time{}); err != nil {
				return err
			}
		default:
			return fmt.Errorf("read the wrapped driver's output: %w", err)
		}
	}
	return nil
}

func (s *stream) pending() int {
	conn, err := s.read.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	if conn.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }) != nil || err != nil {
		return 0
	}
	return n
}

// bound ends the reading soon, whoever still holds the pipe.
func (s *stream) bound() {
	_ = s.read.SetReadDeadline(time.Now().Add(drainBound)) // fails only if reading is over
}
