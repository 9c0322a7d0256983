package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"envrole/internal/audit"
	"envrole/internal/fakeaws"
	"envrole/internal/fakerunner"
)

// 50 jobs find their sessions due at the same moment, and STS is slow enough
// that all of them ask before the first is answered.
func TestFiftyJobsRenewAtOnce(t *testing.T) {
	const jobs, starting = 50, 8 // starting is how many a runner prepares at once here
	const lasting = 45 * time.Second
	w := shortWorld(t, "", lasting.String())
	g := newGate(w, "gate")
	results := make([]fakerunner.Result, jobs)
	var all sync.WaitGroup
	for i := range jobs {
		j := script(w.payloadAs("honest_production", int64(600000+i)), w.callAWS()+"; "+g.wait(i))
		j.SubStages = append(j.SubStages, fakerunner.SubStage{Name: "step_after", Script: w.callAWS()})
		eventually(t, "earlier jobs start", func() bool { return g.waiting() > i-starting })
		all.Go(func() { results[i] = w.runner.Run(t.Context(), j) })
	}
	eventually(t, "all jobs wait", func() bool { return g.waiting() == jobs })
	// A third is when a session is due; a second more is for the roundings.
	eventually(t, "all sessions are due", func() bool {
		for _, s := range w.generations() {
			if time.Until(s.Expiration) > lasting/3-time.Second {
				return false
			}
		}
		return true
	})
	w.aws.Push(fakeaws.Fault{Action: "AssumeRole", Match: "deploy-shop", Times: -1, Delay: 2 * time.Second})
	g.open()
	all.Wait()

	for i, res := range results {
		if res.State != fakerunner.Success || strings.Count(res.Log, "the call was allowed") != 2 || res.Cleanup != "" {
			t.Errorf("job %d: %s %v\n%s%s", i, res.State, res.Err, res.Log, res.Cleanup)
		}
		w.noSecrets(fmt.Sprintf("the log of job %d", i), res.Log)
	}
	for _, c := range w.aws.Calls() {
		if c.Status >= 400 {
			t.Errorf("a call failed: %s %d", c.Action, c.Status)
		}
	}
	w.settled()
	w.nothingLeft()
	w.oneDenyEach(jobs)
	made, renewed, failed := len(w.generations()), w.events(audit.Refreshed), w.events(audit.RefreshFailed)
	t.Logf("%d sessions, %d renewals, %d policies written", made, renewed, w.aws.Count("PutRolePolicy"))
	if renewed < jobs || failed != 0 {
		t.Errorf("%d renewals and %d failures in the audit log, want %d at least and none", renewed, failed, jobs)
	}
}

// oneDenyEach fails unless there are so many session names, each lent more than
// once, and each denied by exactly one entry.
func (w *world) oneDenyEach(want int) {
	w.t.Helper()
	var denies strings.Builder
	for _, document := range w.aws.Policies()[deployRole] {
		denies.WriteString(document)
	}
	generations := map[string]int{}
	for _, s := range w.generations() {
		generations[s.Name]++
	}
	if len(generations) != want {
		w.t.Errorf("%d session names, want %d", len(generations), want)
	}
	for name, n := range generations {
		if denied := strings.Count(denies.String(), name); n < 2 || denied != 1 {
			w.t.Errorf("session %s: lent %d times, want more than once; %d deny entries, want 1", name, n, denied)
		}
	}
	if entries := strings.Count(denies.String(), "*:gl-"); entries != want {
		w.t.Errorf("%d deny entries, want %d", entries, want)
	}
}
