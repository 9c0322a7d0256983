package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"envrole/internal/audit"
	"envrole/internal/fakeaws"
	"envrole/internal/fakerunner"
	"envrole/roles/lease"
)

// shortWorld is a world whose sessions live for seconds.
func shortWorld(t *testing.T, session, lasting string) *world {
	t.Helper()
	limit, err := time.ParseDuration(lasting)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldWith(t, productionRule, fakeaws.Options{SessionLimit: limit})
	w.configure(productionRule, "[session]\n"+session)
	return w
}

func scripts(w *world, commands ...string) fakerunner.Job {
	j := fakerunner.Job{Payload: w.payload("honest_production")}
	for i, c := range commands {
		j.SubStages = append(j.SubStages, fakerunner.SubStage{Name: "step_" + itoa(i), Script: c})
	}
	return j
}

// generations are the sessions of the role that AWS made, oldest first.
func (w *world) generations() []fakeaws.SessionInfo {
	var out []fakeaws.SessionInfo
	for _, s := range w.aws.Sessions() {
		if s.Role == deployRole {
			out = append(out, s)
		}
	}
	return out
}

// oneName fails unless all generations share one session name, and gives it.
func (w *world) oneName() string {
	w.t.Helper()
	name := ""
	for _, s := range w.generations() {
		if name == "" {
			name = s.Name
		}
		if s.Name != name || s.AssumedRoleID != w.generations()[0].AssumedRoleID {
			w.t.Errorf("two names: %s and %s", s.Name, name)
		}
	}
	return name
}

func (w *world) events(e audit.Event) int {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.state, audit.FileName))
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Count(string(b), `"event":"`+string(e)+`"`)
}

func TestASessionIsRenewedBetweenSubStages(t *testing.T) {
	t.Parallel()
	w := shortWorld(t, "", "15s")
	goOn := w.mark("go-on")
	b := w.begin(scripts(w, w.callAWS(), "echo $AWS_SECRET_ACCESS_KEY > $HOME/old; "+goOn.wait(), w.callAWS()+"; cat $HOME/old; echo $AWS_SECRET_ACCESS_KEY"))
	b.lent()
	b.ended()
	goOn.set()
	res := b.result()
	if res.State != fakerunner.Success {
		t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
	if n := len(w.generations()); n < 2 {
		t.Errorf("%d sessions, want more", n)
	}
	w.oneName()
	if n := w.events(audit.Refreshed); n != len(w.generations())-1 {
		t.Errorf("%d renewals in the audit log, want %d", n, len(w.generations())-1)
	}
	w.settled()
	w.noSecrets("the job's log", res.Log)
	if n := w.aws.Count("PutRolePolicy"); n != 1 {
		t.Errorf("%d policies written, want 1", n)
	}
}

func TestTheKillSwitchEndsRenewals(t *testing.T) {
	t.Parallel()
	w := shortWorld(t, "", sessionLife)
	off := filepath.Join(w.dir, "off")
	text, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(off, []byte(strings.Replace(string(text), "[session]\n", "[session]\nenabled = false\n", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	switched, goOn := w.mark("switched"), w.mark("go-on")
	b := w.begin(scripts(w, "cat "+off+" > "+w.config+"; "+switched.touch()+"; "+goOn.wait(), w.callAWS()))
	b.until("the switch is off", switched.isSet)
	made := len(w.generations())
	b.ended()
	goOn.set()
	res := b.result()
	if res.State != fakerunner.ScriptFailure || !strings.Contains(res.Log, "lending is switched off by the administrator") {
		t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
	if n := len(w.generations()); n != made {
		t.Errorf("%d sessions, %d of them after the switch", n, n-made)
	}
	w.settled()
}

// An administrator's `envrole revoke` closes the lease while STS is asked.
func TestCredentialsThatComeTooLateAreThrownAway(t *testing.T) {
	t.Parallel()
	w := shortWorld(t, "", sessionLife)
	w.runner.SkipCleanup = true
	goOn := w.mark("go-on")
	b := w.begin(scripts(w, goOn.wait(), "true"))
	b.lent()
	b.ended()
	made, asked := len(w.generations()), w.aws.Count("AssumeRole")
	raised := w.leases()[0].ExpiresAt
	answer := make(chan struct{})
	w.aws.Push(fakeaws.Fault{Action: "AssumeRole", Match: "deploy-shop", Hold: answer})
	goOn.set()
	b.until("STS is asked", func() bool { return w.aws.Count("AssumeRole") > asked })
	if !w.leases()[0].ExpiresAt.After(raised) {
		t.Error("STS was asked before the lease knew the later end")
	}
	if out, code := w.envrole("revoke", "--job", itoa64(w.leases()[0].JobID)); code != 0 {
		t.Fatalf("revoke: %d\n%s", code, out)
	}
	close(answer)
	res := b.result()
	if res.State == fakerunner.Success || !strings.Contains(res.Log, "taken back") {
		t.Fatalf("%s\n%s", res.State, res.Log)
	}
	if len(w.generations()) != made+1 {
		t.Errorf("STS did not make a session meanwhile: %d, and %d before", len(w.generations()), made)
	}
	if w.events(audit.Refreshed) != 0 {
		t.Error("a session was handed on after its lease was closed")
	}
	if le := w.leases()[0]; le.State != lease.Denied {
		t.Errorf("lease is %s", le.State)
	}
	w.settled()
}

// Between two scripts the session has ended, and STS gives no other. What the
// author would do with it fails; what cleans up after the job runs, without it
// and without credentials of anybody else's.
func TestAfterScriptRunsWithoutASessionThatEnded(t *testing.T) {
	t.Parallel()
	for _, delivery := range []string{"env", "endpoint"} {
		t.Run(delivery, func(t *testing.T) {
			t.Parallel()
			w := shortWorld(t, `delivery = "`+delivery+`"`, sessionLife)
			goOn := w.mark("go-on")
			j := scripts(w, goOn.wait(), "echo never run")
			j.SubStages = append(j.SubStages, fakerunner.SubStage{Name: "after_script", Script: `echo "cleaning up: ${AWS_SECRET_ACCESS_KEY-no key}, ${AWS_SHARED_CREDENTIALS_FILE-any file}, ${AWS_CONFIG_FILE-any file}"`})
			b := w.begin(j)
			b.lent()
			w.refuse()
			b.ended()
			goOn.set()
			res := b.result()
			if res.State == fakerunner.Success || strings.Contains(res.Log, "never run") || strings.Count(res.Log, "cannot go on: use session") != 1 || !strings.Contains(res.Log, "it has expired and could not be renewed") {
				t.Errorf("the script: %s: %v\n%s", res.State, res.Err, res.Log)
			}
			if !strings.Contains(res.Log, "cleaning up: no key, /dev/null, /dev/null") || strings.Count(res.Log, "envrole: after_script runs without a session") != 1 {
				t.Errorf("after_script:\n%s", res.Log)
			}
			w.settled()
		})
	}
}

// refuse makes AWS refuse the role from now on, for good.
func (w *world) refuse() {
	w.aws.Push(fakeaws.Fault{Action: "AssumeRole", Match: "deploy-shop", Times: -1, Status: 403, Code: "AccessDenied", Message: "User: x is not authorized to perform: sts:AssumeRole on resource: " + deployRole})
}

func itoa64(n int64) string { return itoa(int(n)) }
