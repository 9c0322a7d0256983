package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"envrole/internal/audit"
	"envrole/internal/fakeaws"
	"envrole/internal/fakerunner"
	"envrole/roles/lease"
)

// The run stage is killed while its helper waits for STS, which answers only
// after cleanup: the session that comes then is denied before it exists, and its
// credentials are thrown away.
func TestAHelperThatOutlivesItsRunStageBringsNothing(t *testing.T) {
	for _, delivery := range []string{"endpoint", "env"} {
		t.Run(delivery, func(t *testing.T) {
			t.Parallel()
			w := shortWorld(t, `delivery = "`+delivery+`"`, "12s")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			started := filepath.Join(w.dir, "started")
			done := make(chan fakerunner.Result, 1)
			// With env the renewal is before the second script.
			go func() {
				done <- w.runner.Run(ctx, scripts(w, "touch "+started+"; sleep 4", "sleep 300"))
			}()
			eventually(t, "the script starts", func() bool { _, err := os.Stat(started); return err == nil })
			w.aws.Push(fakeaws.Fault{Action: "AssumeRole", Match: "deploy-shop", Times: -1, Delay: 7 * time.Second})
			first := w.leases()[0].ExpiresAt
			eventually(t, "STS is about to be asked", func() bool { return w.leases()[0].ExpiresAt.After(first) })
			var helpers []int
			eventually(t, "the helper waits", func() bool { helpers = w.helpers(); return len(helpers) == 1 })
			w.signal(w.runStages(), syscall.SIGKILL)
			res := <-done // cleanup has run
			if res.State == fakerunner.Success {
				t.Errorf("%s: %v\n%s", res.State, res.Err, res.Log)
			}
			if len(w.generations()) != 1 {
				t.Fatalf("%d sessions: STS was to answer after cleanup", len(w.generations()))
			}
			if le := w.leases()[0]; le.State != lease.Denied {
				t.Fatalf("lease is %s", le.State)
			}
			eventually(t, "STS makes the session", func() bool { return len(w.generations()) == 2 })
			eventually(t, "the helper ends", func() bool { return syscall.Kill(helpers[0], 0) != nil })
			if n := w.events(audit.Refreshed); n != 0 {
				t.Errorf("%d sessions were handed on", n)
			}
			if b, err := os.ReadFile(filepath.Join(w.state, audit.FileName)); err != nil || w.events(audit.RefreshFailed) != 1 || !strings.Contains(string(b), "the lease is denied: the session is being taken back") {
				t.Errorf("the helper did not say why: %v\n%s", err, b)
			}
			le := w.leases()[0]
			for _, s := range w.generations() {
				if s.Live() || s.Expiration.After(le.ExpiresAt) {
					t.Errorf("session until %s lives: %t; the lease knows of %s", s.Expiration, s.Live(), le.ExpiresAt)
				}
			}
			if n := w.aws.Count("PutRolePolicy"); n != 1 {
				t.Errorf("%d policies written, want 1", n)
			}
			w.oneName()
			w.settled()
			w.noSockets()
			w.nothingLeft()
		})
	}
}

// runStages and helpers are this world's own processes of that kind.
func (w *world) runStages() []int { return w.of("envrole-run\x00--config\x00" + w.config + "\x00") }

func (w *world) helpers() []int {
	var out []int
	for _, pid := range w.of("envrole-prepare\x00__renew-session\x00") {
		if w.ours(pid) {
			out = append(out, pid)
		}
	}
	return out
}

// of are the processes whose command line holds that text.
func (w *world) of(text string) []int {
	w.t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		w.t.Fatal(err)
	}
	var out []int
	for _, path := range all {
		if line, err := os.ReadFile(path); err == nil && strings.Contains(string(line), text) {
			out = append(out, atoi(filepath.Base(filepath.Dir(path))))
		}
	}
	return out
}

// ours says whether a process comes from a run stage of this world.
func (w *world) ours(pid int) bool {
	for _, p := range w.processes() {
		if p == pid {
			return true
		}
	}
	return false
}
