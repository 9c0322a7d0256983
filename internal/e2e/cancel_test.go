package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"envrole/internal/fakerunner"
)

// tree is a script that starts a process in its group, one that left it and one
// that is nobody's child any more, then waits. All note their ids in a file.
func tree(pids, started string) string {
	return "sleep 300 & echo $! >> " + pids + "\n" +
		"setsid sleep 300 & echo $! >> " + pids + "\n" +
		"(setsid sh -c 'sleep 300 & echo $! >> " + pids + "' &)\n" +
		"until [ $(wc -l < " + pids + ") -ge 3 ]; do sleep 0.05; done\n" +
		"echo $$ >> " + pids + "; touch " + started + "; wait"
}

// ended fails if a process whose id stands in the file lives.
func ended(t *testing.T, pids string, want int) {
	t.Helper()
	b, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Fields(string(b))
	if len(list) != want {
		t.Errorf("%d processes noted, want %d", len(list), want)
	}
	for _, pid := range list {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err == nil && !bytes.Contains(stat, []byte(") Z ")) { // what nobody has waited for yet has ended too
			t.Errorf("process %s lives: %s", pid, stat)
		}
	}
}

// A cancel and a timeout end the script and all that it started; after_script
// still runs, with the session, and cleanup takes it back.
func TestACancelEndsTheScriptAndNothingElse(t *testing.T) {
	for name, tc := range map[string]struct {
		timeout time.Duration
		first   string
	}{
		"cancel":            {0, ""},
		"timeout":           {10 * time.Second, ""},
		"deaf to SIGTERM":   {0, "trap '' TERM\n"},
		"ends as it likes":  {0, "trap 'exit 0' TERM\n"},
		"busy in its trap":  {0, "trap 'sleep 300' TERM\n"},
		"output held open ": {0, "exec 3>&1\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, productionRule)
			w.replaceConfig("[executor.shell]\n", "[executor.shell]\ngrace = \"1s\"\n")
			w.runner.GracefulKill = 3 * time.Minute
			pids, started := filepath.Join(w.dir, "pids"), filepath.Join(w.dir, "started")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tc.timeout == 0 {
				go func() {
					eventually(t, "the script starts", func() bool { _, err := os.Stat(started); return err == nil })
					cancel()
				}()
			}
			start := time.Now()
			res := w.runner.Run(ctx, fakerunner.Job{Payload: w.payload("honest_production"), Timeout: tc.timeout, SubStages: []fakerunner.SubStage{
				{Name: "build_script", Script: tc.first + tree(pids, started)},
				{Name: "step_never", Script: "echo it went on"},
				{Name: "after_script", Script: w.callAWS()},
			}})
			if res.State != fakerunner.Canceled || strings.Contains(res.Log, "it went on") {
				t.Errorf("%s\n%s", res.State, res.Log)
			}
			mustHold(t, "the job's log", res.Log, "the call was allowed")
			if took := time.Since(start); took > 2*time.Minute {
				t.Errorf("the script went on for %s", took)
			}
			ended(t, pids, 4)
			w.settled()
			w.nothingLeft()
		})
	}
}

// A daemon that a job leaves behind neither holds the job up nor outlives it.
func TestADaemonDoesNotOutliveItsScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t, productionRule)
	pids := filepath.Join(w.dir, "pids")
	start := time.Now()
	res := w.run(w.payload("honest_production"), strings.ReplaceAll(tree(pids, "/dev/null"), "wait", "echo done"))
	if res.State != fakerunner.Success || !strings.Contains(res.Log, "done") {
		t.Errorf("%s %v\n%s", res.State, res.Err, res.Log)
	}
	if took := time.Since(start); took > 60*time.Second {
		t.Errorf("the job was held up for %s", took)
	}
	ended(t, pids, 4)
	w.settled()
}
