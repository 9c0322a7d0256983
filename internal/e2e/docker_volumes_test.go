package e2e

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"envrole/internal/dockertest"
	"envrole/internal/fakerunner"
)

// signal is closed by the job's log when a word comes in it.
type signal struct {
	word string
	seen strings.Builder
	came chan struct{}
}

func waitFor(word string) *signal { return &signal{word: word, came: make(chan struct{})} }

func (s *signal) Write(p []byte) (int, error) {
	before := strings.Contains(s.seen.String(), s.word)
	s.seen.Write(p)
	if !before && strings.Contains(s.seen.String(), s.word) {
		close(s.came)
	}
	return len(p), nil
}

// inProject gives a payload the image of these tests, on a ref that is protected
// or is not.
func (w *world) inProject(payload []byte, protected bool) []byte {
	w.t.Helper()
	var p struct {
		GitInfo object `json:"git_info"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		w.t.Fatal(err)
	}
	p.GitInfo["protected"] = protected
	return w.with(payload, object{"image": object{"name": "full"}, "git_info": p.GitInfo})
}

// The runner keeps a job's variables, and those of earlier scripts, in files
// beside the checkout, and sources them in scripts that hold a session. A job of
// the same project that runs at once must not reach them.
func TestJobsOfOneProjectAtOnceDoNotReachEachOther(t *testing.T) {
	d := dockertest.Start(t)
	w := newWorld(t, "")
	w.inContainers(d, productionRule, "")
	deploy := w.inProject(w.payload("honest_production"), true)
	other := w.inProject(w.payloadAs("honest_without_environment", 7101), true)

	running := waitFor("the deploy waits")
	runner := w.runner
	runner.Tee = running
	done := make(chan fakerunner.Result, 1)
	go func() {
		done <- runner.Run(context.Background(), fakerunner.Job{Payload: deploy, SubStages: []fakerunner.SubStage{
			{Name: "get_sources", Script: `mkdir -p /builds/acme/shop /builds/acme/shop.tmp; echo 'export FROM_FILE=kept' >/builds/acme/shop.tmp/gitlab_runner_env; echo "only for production" >/builds/acme/shop.tmp/KUBECONFIG`},
			{Name: "build_script", Script: `echo the deploy waits; until [ -e /cache/go ]; do sleep 0.1; done
. /builds/acme/shop.tmp/gitlab_runner_env; echo "sourced: ${FROM_FILE:-nothing} ${STOLEN:-}"; ls -A /builds/acme/shop`},
		}})
	}()
	select {
	case <-running.came:
	case res := <-done:
		t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
	attack := w.run(other, `echo "key ${AWS_ACCESS_KEY_ID:-none}"
for f in $(find /builds -name gitlab_runner_env); do echo 'export STOLEN="stolen with $AWS_ACCESS_KEY_ID"' >>"$f"; done
cat $(find /builds -type f) /dev/null; mkdir -p /builds/acme/shop && touch /builds/acme/shop/planted; touch /cache/go`)
	if attack.State != fakerunner.Success || !strings.Contains(attack.Log, "key none") {
		t.Fatalf("%s: %v\n%s", attack.State, attack.Err, attack.Log)
	}
	if strings.Contains(attack.Log, "only for production") || strings.Contains(attack.Log, "FROM_FILE") {
		t.Errorf("the job without a role reads the deploy's files:\n%s", attack.Log)
	}
	res := <-done
	if res.State != fakerunner.Success || !strings.Contains(res.Log, "sourced: kept ") {
		t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
	if strings.Contains(res.Log, "stolen") || strings.Contains(res.Log, "planted") {
		t.Errorf("the job without a role writes the deploy's files:\n%s", res.Log)
	}
	if left := ofJobs(t, d); left != "" {
		t.Error("left in the Engine:", left)
	}
}

func TestAnUnprotectedJobPlantsNothingForAProtectedOne(t *testing.T) {
	d := dockertest.Start(t)
	w := newWorld(t, "")
	w.inContainers(d, "", "")
	for _, c := range []struct {
		protected bool
		want      string
	}{{false, "found: none"}, {true, "found: none"}, {false, "found: /builds/planted /cache/planted"}, {true, "found: /builds/planted /cache/planted"}} {
		res := w.run(w.inProject(w.payload("honest_production"), c.protected), `echo found: $(ls /builds/planted /cache/planted 2>/dev/null || echo none); touch /builds/planted /cache/planted`)
		if res.State != fakerunner.Success || !strings.Contains(res.Log, c.want+"\n") {
			t.Errorf("protected %t: %s %v, want %q\n%s", c.protected, res.State, res.Err, c.want, res.Log)
		}
	}
}

// A job whose runner was killed keeps its builds volume until the sweep.
func TestTheBuildsVolumeOfAKilledRunnersJobIsFreeAfterTheSweep(t *testing.T) {
	d := dockertest.Start(t)
	w := newWorld(t, "")
	w.inContainers(d, "", "")
	found := func(id int64, script string) string {
		t.Helper()
		res := w.run(w.inProject(w.payloadAs("honest_production", id), true), script+`; echo found: $(ls -A /builds)`)
		if res.State != fakerunner.Success {
			t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
		}
		_, rest, _ := strings.Cut(res.Log, "found: ")
		line, _, _ := strings.Cut(rest, "\n")
		return line
	}
	w.runner.SkipCleanup = true
	found(7301, "touch /builds/killed")
	w.runner.SkipCleanup = false
	if got := found(7302, "touch /builds/next"); got != "next" {
		t.Errorf("beside the job that may still run: %s", got)
	}
	sealed, err := filepath.Glob(filepath.Join(w.state, "sealed", "*"))
	if err != nil || len(sealed) != 1 {
		t.Fatal(sealed, err)
	}
	past := time.Now().Add(-time.Minute)
	if err := os.Chtimes(sealed[0], past, past); err != nil { // the job's deadline
		t.Fatal(err)
	}
	if out, code := w.envrole("sweep"); code != 0 {
		t.Fatal(out)
	}
	if got := found(7303, "true"); got != "killed" {
		t.Errorf("after the sweep: %s", got)
	}
}
