package engine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moby/moby/client"

	"envrole/executor/docker/agent"
)

const (
	// maxControl bounds what is kept of the agent's words.
	maxControl = 64 << 10
	// streamBuffer is how much of the Engine's stream is read at once; its
	// pieces are of up to 32 KiB.
	streamBuffer = 128 << 10
)

// session is one process in a container and the streams to it.
type session struct {
	id     string
	stream client.HijackedResponse
}

// open starts a process in a container. user "" is the container's own. Command
// and user are all that the Engine is told of it.
func (a *api) open(ctx context.Context, container, user string, command ...string) (*session, error) {
	s := &session{}
	err := a.call(ctx, "start a process in "+container, func(ctx context.Context) error {
		made, err := a.ExecCreate(ctx, container, client.ExecCreateOptions{
			User: user, Cmd: command, AttachStdin: true, AttachStdout: true, AttachStderr: true,
		})
		if err != nil {
			return err
		}
		s.id = made.ID
		attached, err := a.ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
		if err != nil {
			return err
		}
		s.stream = attached.HijackedResponse
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// endInput tells the process that nothing more comes: the agent ends its script.
func (s *session) endInput() { _ = s.stream.CloseWrite() }

// live gives signs of life to the agent until over is closed or the input ends.
func (s *session) live(over <-chan struct{}, beat time.Duration) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
			if _, err := s.stream.Conn.Write([]byte{'\n'}); err != nil {
				return
			}
		}
	}
}

func (s *session) close() { s.stream.Close() }

// copyTo passes standard output on to out until the stream ends, and returns
// what the process said on standard error; line is called for each line of it
// at once. After out failed it reads on, so that the process can end; the first
// failure is returned.
func (s *session) copyTo(out io.Writer, failed func(), line func([]byte)) (control []byte, err error) {
	words := words{line: line}
	err = demultiplex(s.stream.Reader, out, &words, failed)
	return words.kept, err
}

// demultiplex takes the Engine's stream apart: pieces with a head of 8 bytes,
// the first of which says which stream, the last four how long. When a writer
// fails, failed is called and nothing more is written to it.
func demultiplex(from io.Reader, stdout, stderr io.Writer, failed func()) error {
	r := bufio.NewReaderSize(from, streamBuffer)
	var outErr error
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return errors.Join(outErr, err)
		}
		out := stdout
		if head[0] == 2 {
			out = stderr
		}
		left := int(binary.BigEndian.Uint32(head[4:]))
		for left > 0 {
			b, err := r.Peek(min(left, streamBuffer))
			if len(b) == 0 {
				return errors.Join(outErr, fmt.Errorf("read from the Engine: %w", err))
			}
			if outErr == nil || out != stdout {
				if _, err := out.Write(b); err != nil {
					outErr = &logError{err}
					failed()
				}
			}
			left -= len(b)
			_, _ = r.Discard(len(b))
		}
	}
}

// words keeps the beginning of what the agent says.
type words struct {
	kept []byte
	told int // so much of kept was given to line
	line func([]byte)
}

func (w *words) Write(p []byte) (int, error) {
	w.kept = append(w.kept, p[:min(len(p), maxControl-len(w.kept))]...)
	for w.line != nil {
		i := bytes.IndexByte(w.kept[w.told:], '\n')
		if i < 0 {
			break
		}
		w.line(w.kept[w.told : w.told+i])
		w.told += i + 1
	}
	return len(p), nil
}

// logError says that the job's log cannot be written.
type logError struct{ err error }

func (e *logError) Error() string { return "write job log: " + e.err.Error() }
func (e *logError) Unwrap() error { return e.err }

// resultOf is the last line that the agent wrote.
func resultOf(control []byte) (agent.Result, bool) {
	lines := bytes.Split(bytes.TrimSpace(control), []byte("\n"))
	return result(lines[len(lines)-1])
}

func result(line []byte) (agent.Result, bool) {
	var r agent.Result
	if !bytes.Contains(line, []byte(`"exit":`)) || json.Unmarshal(line, &r) != nil {
		return agent.Result{}, false
	}
	return r, true
}

// ask runs the agent, which is program there, in a container with a short input, to its end, and gives
// what it says. The error holds what it complained of. bound is how long it may
// take.
func (a *api) ask(ctx context.Context, bound time.Duration, container, user string, input []byte, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("the Engine at %s did not give an answer within %s", a.address, bound))
	defer cancel()
	s, err := a.open(ctx, container, user, append([]string{program, agent.Flag}, args...)...)
	if err != nil {
		return nil, err
	}
	defer s.close()
	stop := context.AfterFunc(ctx, s.close)
	defer stop()
	if _, err := s.stream.Conn.Write(input); err != nil {
		return nil, err
	}
	var out words
	complaint, err := s.copyTo(&out, func() {}, nil)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err == nil && len(bytes.TrimSpace(complaint)) > 0 {
		err = errors.New(string(bytes.TrimSpace(complaint)))
	}
	return out.kept, err
}
