package e2e

import (
	"strings"
	"testing"

	"envrole/internal/audit"
	"envrole/internal/fakerunner"
)

// The second script works longer than what the first left of the session, which
// is far from being due by itself. What stands in its environment must be enough.
func TestAScriptBeginsWithASessionThatIsEnoughForIt(t *testing.T) {
	t.Parallel()
	w := shortWorld(t, "", "12s")
	res := w.runner.Run(t.Context(), scripts(w, w.callAWS()+"; sleep 4", w.callAWS()+"; sleep 9; "+w.callAWS()))
	if res.State != fakerunner.Success || strings.Count(res.Log, "the call was allowed") != 3 {
		t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
	if n := w.events(audit.Refreshed); n != len(w.generations())-1 || n < 1 {
		t.Errorf("%d renewals in the audit log of %d sessions", n, len(w.generations()))
	}
	w.oneName()
	w.settled()
	w.noSecrets("the job's log", res.Log)
}
