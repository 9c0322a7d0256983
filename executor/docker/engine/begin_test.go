package engine

import (
	"errors"
	"strings"
	"testing"

	"envrole/executor/docker/agent"
)

// Whoever starts the agent may have written something before its word, and not
// ended the line; the Engine cuts the stream where it likes.
func TestTheAgentsWordIsSeenWhateverStandsBeforeIt(t *testing.T) {
	long := strings.Repeat("x", 3*maxStartLine)
	for _, before := range []string{"", "one\n", "loading...", "one\nloading...", long, long + "\n", long[:maxStartLine-len(agent.Ready)], long[:maxStartLine], long[:maxStartLine+1]} {
		all := before + agent.Ready + "\n"
		for _, piece := range []int{1, 7, len(agent.Ready), maxStartLine - 1, len(all)} {
			var out strings.Builder
			w := &untilReady{out: &out}
			var err error
			for rest := all; rest != "" && err == nil; {
				n := min(piece, len(rest))
				_, err = w.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			want := before
			if want != "" && !strings.HasSuffix(want, "\n") {
				want += "\n" // what comes next in the log begins a line
			}
			if !errors.Is(err, errReady) || !w.ready || out.String() != want {
				t.Errorf("%d bytes in pieces of %d: ready %t, %v, %d bytes written", len(before), piece, w.ready, err, out.Len())
			}
		}
	}
	for _, said := range []string{agent.Ready, "x" + agent.Ready + "y\n", "not " + agent.Ready[:5] + "\n"} {
		w := &untilReady{out: &strings.Builder{}}
		if _, err := w.Write([]byte(said)); err != nil || w.ready {
			t.Errorf("%q is taken for the word", said)
		}
		w.flush()
		if got := w.out.(*strings.Builder).String(); got != strings.TrimSuffix(said, "\n")+"\n" {
			t.Errorf("%q comes as %q", said, got)
		}
	}
}
