package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"envrole/internal/fakeaws"
	"envrole/internal/fakerunner"
)

// A driver that shows its machine's console in cleanup puts all that the job ever
// printed there into the runner's own log.
func TestTheConsoleThatADriverShowsInCleanupIsMasked(t *testing.T) {
	w := newWorld(t, productionRule)
	console := filepath.Join(w.dir, "console")
	driver, _ := w.recorder(`case $stage in
run) bash < "$2" >> ` + console + ` ;;
cleanup) cat ` + console + `; sed "s/^/on stderr: /" ` + console + ` >&2 ;;
esac`)
	w.wrap(productionRule, "", driver)
	res := w.run(w.payload("honest_production"), `echo "secret $AWS_SECRET_ACCESS_KEY"; echo "token $AWS_SESSION_TOKEN" | base64 -w0; echo; echo "the end"`)
	if b, err := os.ReadFile(console); err != nil || strings.Contains(string(b), "[MASKED]") || !strings.Contains(string(b), "the end") {
		t.Fatalf("the console: %v\n%s", err, b)
	}
	mustHold(t, "cleanup's log", res.Cleanup, "\nsecret [MASKED]", "\non stderr: secret [MASKED]", "the end")
	w.noSecrets("cleanup's log", res.Cleanup)
	if i := strings.Index(res.Cleanup, "dG9rZW4g"); i >= 0 && !strings.HasPrefix(res.Cleanup[i+len("dG9rZW4g"):], "[MASKED]") {
		t.Errorf("the token in base64:\n%s", res.Cleanup)
	}
	w.settled()
}

// The session dies first, the machine after it: a driver that hangs in cleanup
// must not keep a session alive.
func TestARevocationIsAskedForBeforeTheDriversCleanup(t *testing.T) {
	w := newWorld(t, productionRule)
	begun := filepath.Join(w.dir, "begun")
	driver, _ := w.recorder(`case $stage in cleanup) touch ` + begun + `; while ! test -e ` + begun + `.seen; do sleep 0.02; done ;; esac`)
	w.wrap(productionRule, "", driver)
	w.runner.BeforeCleanup = func() {
		if n := w.aws.Count("PutRolePolicy"); n != 0 || exists(begun) {
			t.Errorf("before cleanup: %d policies, driver begun %v", n, exists(begun))
		}
		go func() {
			eventually(t, "the driver's cleanup", func() bool { return exists(begun) })
			if n := w.aws.Count("PutRolePolicy"); n != 1 {
				t.Errorf("%d policies when the driver's cleanup begins, want 1", n)
			}
			if live := w.live(); len(live) > 0 {
				t.Errorf("alive while the driver cleans up: %v", live)
			}
			if err := os.WriteFile(begun+".seen", nil, 0o600); err != nil {
				t.Error(err)
			}
		}()
	}
	if res := w.run(w.payload("honest_production"), "true"); res.State != fakerunner.Success || !exists(begun) {
		t.Errorf("%s, begun %v\n%s", res.State, exists(begun), res.Cleanup)
	}
	w.settled()
}

// Whatever IAM does, the machine of the job is removed.
func TestTheDriverCleansUpWhateverIAMDoes(t *testing.T) {
	for name, fault := range map[string]fakeaws.Fault{
		"refuses": {Action: "PutRolePolicy", Times: -1, Status: 403, Code: "AccessDenied", Message: "no"},
		"hangs":   {Action: "PutRolePolicy", Times: -1, Hang: true},
		"is away": {Action: "PutRolePolicy", Times: -1, DropAfter: true, Status: 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, productionRule)
			driver, _ := w.recorder(`test $stage = cleanup && echo cleaning up after "$(ls)"; true`)
			w.wrap(productionRule, "", driver)
			w.replaceConfig("[aws]\n", "[aws]\ntimeout = \"1s\"\n")
			w.aws.Push(fault)
			res := w.run(w.payload("honest_production"), "true")
			mustHold(t, "cleanup's log", res.Cleanup, "cleaning up after", "NOT revoked", "Cleanup script failed")
		})
	}
}

// Without a ledger nothing can be revoked, and the machine is removed all the
// same, by today's configuration. What it shows then may hold a good session.
func TestTheDriverCleansUpThoughTheLedgerCannotBeOpened(t *testing.T) {
	gone := func(t *testing.T, w *world) {
		t.Helper()
		if err := os.Rename(w.state, w.state+".old"); err != nil {
			t.Error(err)
		}
	}
	cases := map[string]struct {
		spoil func(t *testing.T, w *world)
		says  string
	}{
		"a file in its place": {says: "not a directory", spoil: func(t *testing.T, w *world) {
			t.Helper()
			gone(t, w)
			if err := os.WriteFile(w.state, nil, 0o600); err != nil {
				t.Error(err)
			}
		}},
		"others may write": {says: "lets others write", spoil: func(t *testing.T, w *world) {
			t.Helper()
			if err := os.Chmod(w.state, 0o777); err != nil {
				t.Error(err)
			}
		}},
		"a link that leads nowhere": {says: "state directory", spoil: func(t *testing.T, w *world) {
			t.Helper()
			gone(t, w)
			if err := os.Symlink("/nonexistent/state", w.state); err != nil {
				t.Error(err)
			}
		}},
	}
	id := int64(7300)
	for name, tc := range cases {
		for _, unnamed := range []bool{false, true} {
			id++
			t.Run(name+" "+strconv.FormatBool(unnamed), func(t *testing.T) {
				w := newWorld(t, productionRule)
				driver, notes := w.recorder(`test $stage = cleanup && echo cleaning up; true`)
				w.wrap(productionRule, "", driver)
				if unnamed { // the runner calls cleanup without job_env: config never ran
					w.runner.ConfigExec = nil
					if err := os.Mkdir(w.state, 0o700); err != nil {
						t.Fatal(err)
					}
					tc.spoil(t, w)
				} else {
					w.runner.BeforeCleanup = func() { tc.spoil(t, w) }
				}
				res := w.run(w.payloadAs("honest_production", id), "true")
				if shown := strings.Contains(res.Cleanup, "cleaning up"); shown != unnamed {
					t.Errorf("the driver's output is shown: %v\n%s", shown, res.Cleanup)
				}
				mustHold(t, "cleanup's log", res.Cleanup, tc.says, "nothing can be revoked now", "Cleanup script failed")
				if !exists(filepath.Join(notes, "cleanup.env")) {
					t.Error("the driver's cleanup was not called")
				}
			})
		}
	}
}
