package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"envrole/internal/fakerunner"
)

// Drivers as they should not be. Whatever they do, the job ends as the driver
// says, its log holds no secret, nothing stays and the session dies.
func TestRoughDrivers(t *testing.T) {
	for name, tc := range map[string]struct {
		run, script string
		state       fakerunner.State
		code        int
		want        []string
	}{
		"daemonises with the output in its hand": {
			run:  `bash < "$2"; setsid sleep 30 & disown`,
			want: []string{"hello"}, state: fakerunner.Success,
		},
		"daemonises twice and writes on": {
			run:  `(setsid bash -c 'while echo "still here $AWS_SECRET_ACCESS_KEY"; do sleep 0.05; done' &) ; bash < "$2"`,
			want: []string{"hello"}, state: fakerunner.Success,
		},
		"closes its output and works on": {
			run:   `exec >&- 2>&-; bash < "$2" > /dev/null; touch "$TMPDIR"/done; exit 0`,
			state: fakerunner.Success,
		},
		"ends with half a secret": {
			run:    `bash < "$2"`,
			script: `printf %s "half ${AWS_SESSION_TOKEN:0:40}"`,
			want:   []string{"half [MASKED]"}, state: fakerunner.Success,
		},
		"ends with half a character": {
			run:    `bash < "$2"`,
			script: `printf 'half \303'`,
			want:   []string{"half \xc3"}, state: fakerunner.Success,
		},
		"prints the secret with characters cut by its writes": {
			run:    `bash < "$2" | while IFS= read -r -N1 c; do printf %s "$c"; done`,
			script: `echo "é ${AWS_SECRET_ACCESS_KEY} é"`,
			want:   []string{"é [MASKED] é"}, state: fakerunner.Success,
		},
		"prints the script itself": {
			run:   `cat "$2" "$2" >&2; od -c "$2" | head -1; exit 0`,
			want:  []string{"export AWS_SECRET_ACCESS_KEY='[MASKED]'"},
			state: fakerunner.Success,
		},
		"ends with 255": {run: `exit 255`, state: fakerunner.SystemFailure},
		"kills itself":  {run: `kill -SEGV $$`, want: []string{"signal 11"}, state: fakerunner.SystemFailure},
		"removes the copy": {
			run:   `bash < "$2"; rm -rf "$(dirname "$2")"`,
			state: fakerunner.Success, want: []string{"hello"},
		},
		"puts a directory in its place": {
			run:   `bash < "$2"; rm "$2"; mkdir -p "$2/a/b"; touch "$2/a/b/c"; chmod 500 "$2/a"`,
			state: fakerunner.Success, want: []string{"hello"},
		},
		"a hundred megabytes": {
			run:    `bash < "$2"`,
			script: `{ yes "$AWS_SECRET_ACCESS_KEY 0123456789 0123456789 0123456789 0123456789" || :; } | head -c 100000000; echo; echo the end`,
			want:   []string{"[MASKED] 0123456789", "\nthe end\n"}, state: fakerunner.Success,
		},
		"a script with a NUL": {run: `exec bash "$2"`, script: "echo hello\necho 'a\x00b'", want: []string{"hello"}, state: fakerunner.Success},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, productionRule)
			w.dir = filepath.Join(w.dir, "with spaces, 'quotes' and ünïcode")
			if err := os.Mkdir(w.dir, 0o700); err != nil {
				t.Fatal(err)
			}
			w.runner.TempDir = w.dir
			driver := filepath.Join(w.dir, "driver")
			if err := os.WriteFile(driver, []byte("#!/bin/bash\ntest $1 = run || exit 0\n"+tc.run+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			w.wrap(productionRule, "", driver)
			if tc.script == "" {
				tc.script = "echo hello"
			}
			res := w.bare(w.payload("honest_production"), fakerunner.SubStage{Name: "build_script", Script: tc.script})
			if res.State != tc.state {
				t.Errorf("%s %v\n%.2000s", res.State, res.Err, res.Log)
			}
			for _, want := range tc.want {
				if !strings.Contains(res.Log, want) {
					t.Errorf("lacks %q\n%.2000s", want, res.Log)
				}
			}
			w.noSecrets("the job's log", res.Log)
			w.noSecrets("cleanup's log", res.Cleanup)
			if res.Cleanup != "" {
				t.Errorf("cleanup: %s", res.Cleanup)
			}
			w.nothingLeft()
			w.settled()
			if records, _ := filepath.Glob(filepath.Join(w.state, "scripts", "*")); len(records) > 0 {
				t.Errorf("records left: %v", records)
			}
		})
	}
}

// A driver that ignores the runner's SIGTERM is killed with its stage; cleanup
// finds what that left.
func TestADriverThatIgnoresTheCancelLeavesNothing(t *testing.T) {
	w := newWorld(t, productionRule)
	started := filepath.Join(w.dir, "started")
	driver, _ := w.recorder(`trap "" TERM INT; case $stage in run) touch ` + started + `; while :; do sleep 0.1; done ;; esac`)
	w.wrap(productionRule, "", driver)
	w.runner.GracefulKill = time.Second
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		eventually(t, "the driver starts", func() bool { return exists(started) })
		cancel()
	}()
	var copies []string
	w.runner.BeforeCleanup = func() { copies = w.copies() }
	res := w.runner.Run(ctx, fakerunner.Job{Payload: w.payload("honest_production"), SubStages: []fakerunner.SubStage{{Name: "build_script", Script: "true"}}})
	if res.State != fakerunner.Canceled || len(copies) != 1 {
		t.Errorf("%s, copies before cleanup %v\n%s", res.State, copies, res.Log)
	}
	w.settled()
	w.nothingLeft()
	if records, _ := filepath.Glob(filepath.Join(w.state, "scripts", "*")); len(records) > 0 {
		t.Errorf("records left: %v\n%s", records, res.Cleanup)
	}
}
