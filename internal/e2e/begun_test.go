package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"envrole/internal/audit"
	"envrole/internal/fakerunner"
)

// patience bounds the waits for what a job with short sessions comes to. They
// last for some ten seconds where a machine has time for them.
const patience = 3 * time.Minute

// begun is a job that runs while the test looks on.
type begun struct {
	w    *world
	done chan fakerunner.Result
}

func (w *world) begin(j fakerunner.Job) *begun {
	w.t.Helper()
	b := &begun{w, make(chan fakerunner.Result, 1)}
	ctx := w.t.Context()
	go func() { b.done <- w.runner.Run(ctx, j) }()
	return b
}

// until waits for something to happen while the job runs.
func (b *begun) until(what string, met func() bool) {
	b.w.t.Helper()
	deadline := time.After(patience)
	for !met() {
		select {
		case res := <-b.done:
			b.w.t.Fatalf("the job ended before %s: %s: %v\n%s", what, res.State, res.Err, res.Log)
		case <-deadline:
			b.w.t.Fatalf("never happened: %s; %d sessions", what, len(b.w.generations()))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// lent waits until AWS has made the job's first session.
func (b *begun) lent() {
	b.w.t.Helper()
	b.until("a session is lent", func() bool { return len(b.w.generations()) > 0 })
}

// ended waits until no session of the job is good any more.
func (b *begun) ended() {
	b.w.t.Helper()
	b.until("every session has ended", func() bool {
		for _, s := range b.w.generations() {
			if !s.Expired {
				return false
			}
		}
		return true
	})
}

// outlived waits until the job has had so many sessions and the first of them is
// refused. No renewal is under way then, and none is due for some time: each
// session is renewed in the last third of its life.
func (b *begun) outlived(sessions int) {
	b.w.t.Helper()
	b.until("its first session has ended and was renewed", func() bool {
		made := b.w.generations()
		return len(made) >= sessions && made[0].Expired && b.w.events(audit.Refreshed) == len(made)-1
	})
}

func (b *begun) result() fakerunner.Result { return <-b.done }

// mark is a file by which the test and a script tell each other how far they are.
type mark struct {
	t    *testing.T
	path string
}

func (w *world) mark(name string) mark { return mark{w.t, filepath.Join(w.dir, name)} }

func (m mark) set() {
	m.t.Helper()
	if err := os.WriteFile(m.path, nil, 0o644); err != nil { // a job's own user looks for it
		m.t.Fatal(err)
	}
}

func (m mark) isSet() bool { return exists(m.path) }

// touch and wait are a script's lines that set the mark and wait for it. Both
// end with the test, whose directory goes.
func (m mark) touch() string { return "touch " + m.path }

func (m mark) wait() string {
	return "until [ -e " + m.path + " ] || [ ! -d " + filepath.Dir(m.path) + " ]; do sleep 0.1; done"
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
