package run

import (
	"bytes"
	"io"
	"sync"
	"time"

	"envrole/internal/stage"
)

// jobLog is the job's log, written by the script's output and, between its
// lines, by EnvRole itself. It stands behind the filter: what the filter holds
// back comes whole, and EnvRole's lines never pass through it.
type jobLog struct {
	mu      sync.Mutex
	out     io.Writer
	within  bool         // the last byte written was not the end of a line
	waiting bytes.Buffer // EnvRole's lines for the end of the script's line
	late    *time.Timer  // ends the waiting
}

// longestWait is for how long a line of EnvRole's waits for the script to end
// its own. A progress bar may take hours.
const longestWait = 2 * time.Second

// Write passes p on, with the lines that wait after the first one that ends.
func (l *jobLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := bytes.IndexByte(p, '\n') + 1
	if l.waiting.Len() == 0 || first == 0 {
		return l.write(p)
	}
	n, err := l.write(p[:first])
	if err != nil {
		return n, err
	}
	l.release()
	if first == len(p) {
		return n, nil
	}
	m, err := l.write(p[first:])
	return n + m, err
}

func (l *jobLog) write(p []byte) (int, error) {
	n, err := l.out.Write(p)
	if n > 0 {
		l.within = p[n-1] != '\n'
	}
	return n, err
}

// say prints one line of EnvRole's own, where a line begins.
func (l *jobLog) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	stage.Say(&l.waiting, format, args...)
	switch {
	case !l.within:
		l.release()
	case l.late == nil:
		l.late = time.AfterFunc(longestWait, l.end)
	}
}

// end prints what still waits, after a line break of EnvRole's own.
func (l *jobLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting.Len() > 0 && l.within {
		_, _ = l.write([]byte("\n"))
	}
	l.release()
}

// release prints what waits.
func (l *jobLog) release() {
	if l.late != nil {
		l.late.Stop()
		l.late = nil
	}
	_, _ = l.write(l.waiting.Bytes())
	l.waiting.Reset()
}
