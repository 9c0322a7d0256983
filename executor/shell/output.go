package shell

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pipeSize is asked for so that a script seldom waits for the log; it is
	// what the kernel grants a process without privileges by default.
	pipeSize = 1 << 20
	// readSize is how much one read takes at most.
	readSize = 128 << 10
	// drainBound is how long the log waits for a process out of reach that
	// still holds the script's standard output.
	drainBound = 2 * time.Second
)

// output carries what a script writes. One pipe serves as its standard output
// and standard error, so that the caller sees one sequence in the order of
// writing, and a secret cannot be split over two.
type output struct {
	read, write *os.File
	done        chan error // gets the copy's result, once
}

// newOutput makes the pipe. It bypasses os.Pipe because the script must find a
// blocking file, and reading must be able to end at a deadline.
func newOutput() (*output, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make output pipe: %w", err)
	}
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize) // a smaller pipe works too
	if err := unix.SetNonblock(fds[0], true); err != nil {
		_ = unix.Close(fds[0])
		_ = unix.Close(fds[1])
		return nil, fmt.Errorf("make output pipe: %w", err)
	}
	return &output{
		read: os.NewFile(uintptr(fds[0]), "script output"), write: os.NewFile(uintptr(fds[1]), "script output"),
		done: make(chan error, 1),
	}, nil
}

// copyTo starts passing the output on to out. When out fails, the pipe is
// closed, and the script ends as it would had the log itself gone away.
func (o *output) copyTo(out io.Writer) {
	go func() {
		err := o.copy(out)
		o.read.Close()
		o.done <- err
	}()
}

func (o *output) copy(out io.Writer) error {
	buf := make([]byte, readSize)
	limited, left := false, 0 // after the deadline: how much may still be read
	for !limited || left > 0 {
		b := buf
		if limited {
			b = buf[:min(left, len(buf))]
		}
		n, err := o.read.Read(b)
		left -= n
		if n > 0 {
			if _, werr := out.Write(b[:n]); werr != nil {
				return fmt.Errorf("write job log: %w", werr)
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded) && !limited:
			// What is in the pipe now was written in time, however slow out is.
			limited, left = true, o.pending()
			if err := o.read.SetReadDeadline(time.Time{}); err != nil {
				return err
			}
		default:
			return fmt.Errorf("read script output: %w", err)
		}
	}
	return nil
}

func (o *output) pending() int {
	conn, err := o.read.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	_ = conn.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	if err != nil {
		return 0
	}
	return n
}

// drain waits for the end of the output. Its writers have ended by now; a
// process that is out of reach and still holds the pipe is waited for only
// drainBound.
func (o *output) drain() error {
	_ = o.read.SetReadDeadline(time.Now().Add(drainBound)) // fails only if reading is over
	return <-o.done
}
