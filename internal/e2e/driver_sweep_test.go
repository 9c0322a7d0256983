package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"envrole/internal/fakerunner"
)

// copies lists the script copies below the runner's temporary directories.
func (w *world) copies() []string {
	w.t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, "custom-executor*", "envrole-script-*", "*"))
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// waiting wraps a driver that waits with the script in its hand.
func (w *world) waiting() {
	w.t.Helper()
	driver, _ := w.recorder(`test $stage = run || exit 0
case $3 in build_script) mkdir ` + w.dir + `/waits && sleep 60; true ;; esac`)
	w.wrap(productionRule, "", driver)
}

// Runner and stage are killed, as by a power cut: the copy of the script with the
// session in it must not lie there for ever.
func TestASweepRemovesTheScriptCopyOfAKilledHost(t *testing.T) {
	w := newWorld(t, productionRule)
	w.waiting()
	cmd := w.startRunner(job(w.payload("honest_production"), "true"))
	eventually(t, "the driver waits", func() bool { return exists(filepath.Join(w.dir, "waits")) })
	if out, code := w.envrole("sweep"); code != 0 || len(w.copies()) != 1 {
		t.Fatalf("a sweep beside the living job: %d, copies %v\n%s", code, w.copies(), out)
	}
	killGroup(t, cmd)
	left := w.copies()
	if len(left) != 1 {
		t.Fatalf("copies: %v", left)
	}
	if b, err := os.ReadFile(left[0]); err != nil || !strings.Contains(string(b), "AWS_SESSION_TOKEN=") {
		t.Fatalf("the copy holds no session: %v\n%s", err, b)
	}
	out, code := w.envrole("sweep")
	if code != 0 || exists(filepath.Dir(left[0])) {
		t.Errorf("sweep: %d, copies %v\n%s", code, w.copies(), out)
	}
	mustHold(t, "sweep", out, "removed "+filepath.Dir(left[0]))
	if records, _ := filepath.Glob(filepath.Join(w.state, "scripts", "*")); len(records) > 0 {
		t.Errorf("records left: %v", records)
	}
	w.settled()
}

// The sweep of the timer may see another /tmp; the next job sees the right one.
func TestTheNextJobRemovesTheScriptCopyOfAKilledHost(t *testing.T) {
	w := newWorld(t, productionRule)
	w.waiting()
	cmd := w.startRunner(job(w.payload("honest_production"), "true"))
	eventually(t, "the driver waits", func() bool { return exists(filepath.Join(w.dir, "waits")) })
	killGroup(t, cmd)
	if left := w.copies(); len(left) != 1 {
		t.Fatalf("copies: %v", left)
	}
	if res := w.run(w.payload("honest_without_environment"), "true"); res.State != fakerunner.Success || len(w.copies()) != 0 {
		t.Errorf("%s, copies %v\n%s", res.State, w.copies(), res.Log)
	}
}

// While a job runs there is a record that others cannot read; after it there is none.
func TestNoRecordOfACopyOutlivesItsScript(t *testing.T) {
	w := newWorld(t, productionRule)
	driver, _ := w.recorder(`test $stage = run && ls -l ` + w.state + `/scripts | grep -c "^-rw-------.*\."; true`)
	w.wrap(productionRule, "", driver)
	res := w.bare(w.payload("honest_production"), fakerunner.SubStage{Name: "build_script", Script: "true"})
	mustHold(t, "the job's log", res.Log, "\n1\n")
	if records, _ := filepath.Glob(filepath.Join(w.state, "scripts", "*")); len(records) > 0 {
		t.Errorf("records left: %v", records)
	}
	w.settled()
}
