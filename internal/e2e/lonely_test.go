package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// The runner alone is killed. A script that writes nothing would never notice:
// its stage ends it, and the next sweep takes its session back.
func TestAScriptWhoseRunnerWasKilledEnds(t *testing.T) {
	t.Run("shell", func(t *testing.T) {
		w := newWorld(t, productionRule)
		started := filepath.Join(w.dir, "started")
		w.endsWithoutRunner("exec >/dev/null 2>&1; touch "+started+"; sleep 300", started)
	})
	t.Run("driver", func(t *testing.T) {
		w := newWorld(t, productionRule)
		started := filepath.Join(w.dir, "started")
		// A shell defers SIGTERM until its sleep has ended: the group gets it.
		driver, _ := w.recorder(`case $stage in run) exec >/dev/null 2>&1; trap 'exit 1' TERM; touch ` + started + `; sleep 300; sleep 300 ;; esac`)
		w.wrap(productionRule, "", driver)
		w.endsWithoutRunner("true", started)
	})
}

func (w *world) endsWithoutRunner(script, started string) {
	w.t.Helper()
	cmd := w.startRunner(job(w.payload("honest_production"), script))
	eventually(w.t, "the script starts", func() bool { _, err := os.Stat(started); return err == nil })
	if err := cmd.Process.Kill(); err != nil {
		w.t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(w.t, "the stage ends", func() bool { return len(w.runStages()) == 0 })
	if out, code := w.envrole("sweep"); code != 0 {
		w.t.Fatalf("sweep: %d\n%s", code, out)
	}
	w.settled()
}
