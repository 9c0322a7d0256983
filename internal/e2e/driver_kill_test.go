package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"envrole/internal/fakerunner"
)

// lostJob runs a job whose run stage is killed from within, with a driver that
// waits. What happens between that and cleanup is the test's.
func lostJob(t *testing.T, before func(w *world)) {
	t.Helper()
	w := newWorld(t, productionRule)
	driver, notes := w.recorder(`case $stage in
run) grep -q "export AWS_SECRET_ACCESS_KEY=" "$2" || exit 3; kill -9 $PPID; sleep 60 ;;
cleanup) echo cleaning up ;;
esac`)
	w.wrap(productionRule, "", driver)
	var copies []string
	w.runner.BeforeCleanup = func() {
		copies, _ = filepath.Glob(filepath.Join(w.dir, "custom-executor*", "envrole-script-*", "script"))
		before(w)
	}
	res := w.runner.Run(t.Context(), fakerunner.Job{Payload: w.payload("honest_production"), SubStages: []fakerunner.SubStage{{Name: "build_script", Script: "true"}}})
	if res.State != fakerunner.SystemFailure {
		t.Errorf("%s %v\n%s", res.State, res.Err, res.Log)
	}
	if len(copies) != 1 {
		t.Errorf("copies that the killed stage left: %v", copies)
	}
	mustHold(t, "cleanup's log", res.Cleanup, "cleaning up")
	if _, err := os.Stat(filepath.Join(notes, "cleanup.env")); err != nil {
		t.Error(err)
	}
	w.nothingLeft()
	if live := w.live(); len(live) > 0 {
		t.Errorf("sessions live on: %v", live)
	}
}

func TestAKilledRunStageIsCleanedUpByTheDriver(t *testing.T) {
	lostJob(t, func(*world) {})
}

// Without the sealed plan cleanup goes by the configuration.
func TestADriverCleansUpAfterAJobOfWhichNothingIsLeft(t *testing.T) {
	lostJob(t, func(w *world) {
		sealed, err := filepath.Glob(filepath.Join(w.state, "sealed", "*"))
		if err != nil || len(sealed) == 0 {
			t.Errorf("sealed: %v %v", sealed, err)
		}
		for _, file := range sealed {
			if err := os.Remove(file); err != nil {
				t.Error(err)
			}
		}
	})
}

// The sealed plan counts, not what the configuration says by then.
func TestCleanupGoesByThePlanOfTheJob(t *testing.T) {
	lostJob(t, func(w *world) {
		b, err := os.ReadFile(w.config)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		i := strings.Index(text, "cleanup_exec")
		end := i + strings.Index(text[i:], "\n")
		if err := os.WriteFile(w.config, []byte(text[:i]+`cleanup_exec = ["/usr/bin/false"]`+text[end:]), 0o600); err != nil {
			t.Fatal(err)
		}
	})
}
