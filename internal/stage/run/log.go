package run

import (
	"io"
	"sync"

	"envrole/internal/stage"
)

// jobLog is the job's log, written by the script's output and, between its
// writes, by EnvRole itself. EnvRole's lines always begin a line.
type jobLog struct {
	mu     sync.Mutex
	out    io.Writer
	within bool // the last byte written was not the end of a line
}

// Write passes p on.
func (l *jobLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.write(p)
}

func (l *jobLog) write(p []byte) (int, error) {
	n, err := l.out.Write(p)
	if n > 0 {
		l.within = p[n-1] != '\n'
	}
	return n, err
}

// say prints one line of EnvRole's own.
func (l *jobLog) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.within {
		_, _ = l.write([]byte("\n"))
	}
	stage.Say(writer(l.write), format, args...)
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
