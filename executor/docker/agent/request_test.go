package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A trap's own tools are not asked to end: they tidy up, or the next command
// does not run. What is left when the shell has ended is asked.
func TestATrapsToolsTidyUp(t *testing.T) {
	for commands, want := range map[string]string{
		`sh -c 'sleep 0.3; sh -c "sleep 0.3; :" && echo unlocked' && sh -c 'sleep 0.1; echo uploaded'`:                      "unlocked\nuploaded\n",
		`sh -c 'trap "echo heard; exit" TERM; : > up; while :; do sleep 0.05; done' & until [ -e up ]; do sleep 0.01; done`: "heard\n",
	} {
		dir := t.TempDir()
		out, end, wait := startAgent(t, Header{Grace: time.Minute}, "cd "+dir+"\ntidy() { "+commands+"; exit 0; }\ntrap tidy TERM\n: > ready\nwhile :; do sleep 0.01; done")
		for {
			if _, err := os.Stat(filepath.Join(dir, "ready")); err == nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		end()
		begun := time.Now()
		if r := wait(); !r.Ended || !strings.Contains(out.String(), want) || time.Since(begun) >= time.Minute {
			t.Errorf("%s: %+v %q", commands, r, out.String())
		}
	}
}
