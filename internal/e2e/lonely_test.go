package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// The runner alone is killed. A script that writes nothing would never notice:
// its stage ends it, and the next sweep takes its session back.
func TestAScriptWhoseRunnerWasKilledEnds(t *testing.T) {
	w := newWorld(t, productionRule)
	started := filepath.Join(w.dir, "started")
	cmd := w.startRunner(job(w.payload("honest_production"), "exec >/dev/null 2>&1; touch "+started+"; sleep 300"))
	eventually(t, "the script starts", func() bool { _, err := os.Stat(started); return err == nil })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "the stage ends", func() bool { return len(w.runStages()) == 0 })
	if out, code := w.envrole("sweep"); code != 0 {
		t.Fatalf("sweep: %d\n%s", code, out)
	}
	w.settled()
}
