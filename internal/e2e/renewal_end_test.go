package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"envrole/internal/audit"
	"envrole/internal/fakeaws"
	"envrole/internal/fakerunner"
)

// A good script ends while its session is being renewed: nothing went wrong, and
// nobody is told that anything did.
func TestAScriptEndsWhileItsSessionIsRenewed(t *testing.T) {
	for _, delivery := range []string{"endpoint", "profile"} {
		t.Run(delivery, func(t *testing.T) {
			t.Parallel()
			w := shortWorld(t, `delivery = "`+delivery+`"`, "9s")
			started, over := filepath.Join(w.dir, "started"), filepath.Join(w.dir, "over")
			done := make(chan fakerunner.Result, 1)
			go func() {
				// What the script leaves behind is ended, beside the helper.
				done <- w.runner.Run(t.Context(), scripts(w, "touch "+started+"; setsid sleep 300 >/dev/null & until [ -e "+over+" ]; do sleep 0.1; done"))
			}()
			eventually(t, "the script starts", func() bool { _, err := os.Stat(started); return err == nil })
			w.aws.Push(fakeaws.Fault{Action: "AssumeRole", Match: "deploy-shop", Times: -1, Delay: 4 * time.Second})
			first := w.leases()[0].ExpiresAt
			eventually(t, "STS is about to be asked", func() bool { return w.leases()[0].ExpiresAt.After(first) })
			if err := os.WriteFile(over, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			res := <-done
			if res.State != fakerunner.Success || strings.Contains(res.Log, "renewed") {
				t.Errorf("%s: %v\n%s", res.State, res.Err, res.Log)
			}
			if n := w.events(audit.RefreshFailed); n != 0 {
				t.Errorf("%d failures in the audit log", n)
			}
			w.settled()
			w.nothingLeft()
		})
	}
}

// A cancelled script that tidies up for longer than its session lasts is served
// new ones, and then nobody is.
func TestACancelledScriptIsServedWhileItTidiesUp(t *testing.T) {
	for _, delivery := range []string{"endpoint", "profile"} {
		t.Run(delivery, func(t *testing.T) {
			t.Parallel()
			w := shortWorld(t, `delivery = "`+delivery+`"`, "6s")
			w.replaceConfig("[executor.shell]\n", "[executor.shell]\ngrace = \"40s\"\n")
			w.runner.GracefulKill = time.Minute
			call := clientFor(delivery, w)
			started := filepath.Join(w.dir, "started")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				eventually(t, "the script starts", func() bool { _, err := os.Stat(started); return err == nil })
				cancel()
			}()
			res := w.runner.Run(ctx, scripts(w, `tidy() { end=$((SECONDS+9)); while [ $SECONDS -lt $end ]; do sleep 0.2; done; `+call+`; echo tidied; exit 0; }
trap tidy TERM; : > `+started+`; while :; do sleep 0.2; done`))
			if res.State != fakerunner.Canceled || !strings.Contains(res.Log, "the call was allowed") || !strings.Contains(res.Log, "tidied") {
				t.Errorf("%s: %v\n%s", res.State, res.Err, res.Log)
			}
			if n := w.events(audit.RefreshFailed); n != 0 || len(w.generations()) < 2 {
				t.Errorf("%d sessions, %d failed renewals", len(w.generations()), n)
			}
			w.settled()
			w.noSockets()
			w.nothingLeft()
		})
	}
}

// What a script left behind has its grace, and what it was given; it gets no new
// session, though it asks and asks.
func TestNothingIsRenewedForWhatAScriptLeftBehind(t *testing.T) {
	t.Parallel()
	w := shortWorld(t, `delivery = "endpoint"`, "6s")
	w.replaceConfig("[executor.shell]\n", "[executor.shell]\ngrace = \"8s\"\n")
	res := w.runner.Run(t.Context(), scripts(w, "asks() { trap '' TERM; while :; do "+clientFor("endpoint", w)+" || sleep 0.1; done; }; asks >/dev/null 2>&1 & echo done"))
	if res.State != fakerunner.Success || strings.Contains(res.Log, "renewed") {
		t.Errorf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
	if n := len(w.generations()); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
	if n := w.events(audit.RefreshFailed); n != 0 {
		t.Errorf("%d failures in the audit log", n)
	}
	w.settled()
}
