package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"envrole/internal/fakerunner"
	"envrole/roles/lease"
)

// gate holds scripts up until the test opens it.
type gate struct {
	t          *testing.T
	path, came string
}

func newGate(w *world, name string) *gate {
	w.t.Helper()
	g := &gate{t: w.t, path: filepath.Join(w.dir, name), came: filepath.Join(w.dir, name+".came")}
	if err := syscall.Mkfifo(g.path, 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Mkdir(g.came, 0o700); err != nil {
		w.t.Fatal(err)
	}
	return g
}

// wait is the script's line that waits at the gate.
func (g *gate) wait(id int) string {
	return fmt.Sprintf("touch %s/%d; : < %s", g.came, id, g.path)
}

// waiting is how many scripts came to the gate.
func (g *gate) waiting() int {
	entries, err := os.ReadDir(g.came)
	if err != nil {
		g.t.Fatal(err)
	}
	return len(entries)
}

// open lets everybody through who is there or comes later.
func (g *gate) open() {
	g.t.Helper()
	f, err := os.OpenFile(g.path, os.O_RDWR, 0) // of a FIFO: opens at once
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = f.Close() })
}

// script is a job of one sub-stage: a crowd is costly enough.
func script(payload []byte, text string) fakerunner.Job {
	return fakerunner.Job{Payload: payload, SubStages: []fakerunner.SubStage{{Name: "build_script", Script: text}}}
}

// 200 jobs of one role run at the same time. Half of them end while the others
// still use their sessions.
func TestTwoHundredJobsAtOnce(t *testing.T) {
	const jobs, starting = 200, 8 // starting is how many a runner prepares at once here
	w := newWorld(t, productionRule)
	gates := []*gate{newGate(w, "first"), newGate(w, "second")}
	results := make([]fakerunner.Result, jobs)
	halves := make([]sync.WaitGroup, 2)
	for i := range jobs {
		half, payload := i%2, w.payloadAs("honest_production", int64(900000+i))
		eventually(t, "earlier jobs start", func() bool { return gates[0].waiting()+gates[1].waiting() > i-starting })
		halves[half].Go(func() {
			results[i] = w.runner.Run(context.Background(), script(payload, gates[half].wait(i)+"; "+w.callAWS()))
		})
	}
	eventually(t, "all jobs run", func() bool { return gates[0].waiting()+gates[1].waiting() == jobs })
	if n := len(w.live()); n != jobs {
		t.Fatalf("%d live sessions while all jobs run, want %d", n, jobs)
	}
	gates[0].open()
	halves[0].Wait()
	if n := len(w.live()); n != jobs/2 {
		t.Errorf("%d live sessions after half of the jobs, want %d", n, jobs/2)
	}
	gates[1].open()
	halves[1].Wait()
	for i, res := range results {
		if res.State != fakerunner.Success || strings.Count(res.Log, "the call was allowed") != 1 {
			t.Errorf("job %d: %s %v\n%s", i, res.State, res.Err, res.Log)
		}
		if res.Cleanup != "" {
			t.Errorf("job %d: cleanup says %s", i, res.Cleanup)
		}
	}
	w.settled()
	w.nothingLeft()
	if n := len(w.leases()); n != jobs {
		t.Errorf("%d leases, want %d", n, jobs)
	}
	puts := w.aws.Count("PutRolePolicy")
	t.Logf("%d jobs: %d policies written", jobs, puts)
	if puts > jobs/2 {
		t.Errorf("%d policies written for %d jobs: cleanups did not commit as a group", puts, jobs)
	}
	events := map[string]int{}
	for _, line := range w.audit() {
		event, _ := line["event"].(string)
		events[event]++
		if event != "lent" && event != "revoked" {
			t.Errorf("audit log: %v", line)
		}
	}
	if events["lent"] != jobs || events["revoked"] != jobs || len(events) != 2 {
		t.Errorf("audit log: %v, want %d lent and revoked", events, jobs)
	}
}

// A role holds about 300 denies. Here 400 sessions are to be revoked: those of
// 385 jobs whose runner died, and of 15 that run.
func TestFourHundredSessionsOfOneRole(t *testing.T) {
	const dead, running = 385, 15
	w := newWorld(t, productionRule)
	w.deadLeases(dead)
	g := newGate(w, "gate")
	results := make([]fakerunner.Result, running)
	var wg sync.WaitGroup
	for i := range running {
		payload := w.payloadAs("honest_production", int64(800000+i))
		wg.Go(func() {
			results[i] = w.runner.Run(context.Background(), script(payload, g.wait(i)+"; "+w.callAWS()))
		})
	}
	eventually(t, "the jobs run", func() bool { return g.waiting() == running })
	out, code := w.envrole("sweep") // before the running ones want their room
	if code != 1 || !strings.Contains(out, "NOT revoked") {
		t.Errorf("sweep: %d\n%.2000s", code, out)
	}
	g.open()
	wg.Wait()
	for i, res := range results {
		if res.State != fakerunner.Success || !strings.Contains(res.Log, "the call was allowed") {
			t.Errorf("job %d: %s %v\n%s", i, res.State, res.Err, res.Log)
		}
		// The role was full before this job ended: its cleanup says what that means.
		mustHold(t, "cleanup's log", res.Cleanup, "NOT revoked", deployRole)
	}

	// What AWS refuses and what the ledger calls denied are the same sessions,
	// and the rest is called unrevoked.
	denied, unrevoked := w.compareWithAWS(dead + running)
	t.Logf("%d denied, %d unrevoked", denied, unrevoked)
	if unrevoked == 0 || denied < 250 {
		t.Errorf("%d denied, %d unrevoked", denied, unrevoked)
	}
	if out, code := w.envrole("leases", "--unrevoked"); code != 1 || strings.Count(out, "unrevoked") != unrevoked || !strings.Contains(out, "policies full") {
		t.Errorf("leases --unrevoked: %d\n%.2000s", code, out)
	}
	failed := 0
	for _, line := range w.audit() {
		if line["event"] == "revoke_failed" {
			failed++
		}
	}
	if failed < unrevoked {
		t.Errorf("%d revoke_failed in the audit log, want %d at least", failed, unrevoked)
	}

	// Time passes: every session is over, and nothing is left to do.
	w.laterBy(4 * time.Hour) // a window is well past 3½ hours after the session began, at the latest
	if out, code := w.envrole("sweep"); code != 0 {
		t.Errorf("sweep in the end: %d\n%.2000s", code, out)
	}
	if n := len(w.leases()); n != 0 {
		t.Errorf("%d leases are left", n)
	}
	for _, s := range w.aws.Sessions() {
		if s.Role == deployRole && s.Live() {
			t.Errorf("session %s is alive", s.Name)
		}
	}
	if left := w.aws.Policies()[deployRole]; len(left) != 0 {
		t.Errorf("policies left: %d", len(left))
	}
	if out, code := w.envrole("leases", "--unrevoked"); code != 0 {
		t.Errorf("leases --unrevoked in the end: %d\n%s", code, out)
	}
}

// deadLeases makes n lent leases, with live sessions, of a runner that died.
func (w *world) deadLeases(n int) {
	w.t.Helper()
	ledger, err := lease.Open(w.state)
	if err != nil {
		w.t.Fatal(err)
	}
	host := lease.ThisHost()
	owner := lease.Owner{BootID: host.BootID, PIDNamespace: host.PIDNamespace, PID: 1 << 30, StartTime: 1}
	var wg sync.WaitGroup
	defer wg.Wait()
	turn := make(chan struct{}, 8) // concurrent syncs cost little more than one
	for i := range n {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			if err := w.deadLease(ledger, int64(700000+i), owner); err != nil {
				w.t.Error(err)
			}
		})
	}
}

func (w *world) deadLease(ledger *lease.Ledger, jobID int64, owner lease.Owner) error {
	id, err := lease.NewID()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("gl-%d-%s", jobID, id[:13])
	creds, err := w.aws.IssueSession(deployRole, name, time.Hour)
	if err != nil {
		return err
	}
	le := lease.Lease{
		ID: id, State: lease.Asked, JobID: jobID, Rule: "production deploys", RoleARN: deployRole, SessionName: name,
		Revoke: "policy", AskedAt: time.Now(), ExpiresAt: creds.Expires, Deadline: time.Now().Add(2 * time.Hour), Owner: owner,
	}
	if err := ledger.Create(w.t.Context(), le); err != nil {
		return err
	}
	_, err = ledger.Update(w.t.Context(), id, func(le *lease.Lease) error { le.State = lease.Lent; return nil })
	return err
}

// compareWithAWS counts the leases by what they say, and fails where AWS says
// otherwise.
func (w *world) compareWithAWS(want int) (denied, unrevoked int) {
	w.t.Helper()
	at := map[string]sessionInfo{}
	for _, s := range w.aws.Sessions() {
		at[s.Name] = s
	}
	for _, le := range w.leases() {
		s, known := at[le.SessionName]
		switch {
		case !known:
			w.t.Errorf("AWS knows no session %s", le.SessionName)
		case le.State == lease.Denied && s.Denied:
			denied++
		case le.State == lease.Unrevoked && !s.Denied:
			unrevoked++
		default:
			w.t.Errorf("lease of %s is %s, denied at AWS: %v", s.Name, le.State, s.Denied)
		}
	}
	if denied+unrevoked != want {
		w.t.Errorf("%d leases, want %d", denied+unrevoked, want)
	}
	return denied, unrevoked
}

// laterBy makes it so much later, for AWS and for what the ledger knows of this
// host's clock.
func (w *world) laterBy(d time.Duration) {
	w.t.Helper()
	w.aws.SetClockOffset(d)
	files, _ := filepath.Glob(filepath.Join(w.state, "leases", "*.json"))
	for _, file := range files {
		w.rewriteLease(file, func(le *lease.Lease) {
			for _, at := range []*time.Time{&le.AskedAt, &le.ExpiresAt, &le.Deadline, &le.ClosingAt, &le.DeniedAt, &le.AttemptedAt} {
				if !at.IsZero() {
					*at = at.Add(-d)
				}
			}
		})
	}
}
