package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"envrole/internal/audit"
	"envrole/internal/fakeaws"
	"envrole/internal/fakerunner"
	"envrole/internal/vend"
)

// The run stage and its helper die at every step of a renewal. Cleanup, which
// comes after, or a sweep where the host died, takes every generation back.
func TestAKilledRenewalLosesNothing(t *testing.T) {
	t.Parallel()
	for _, each := range []string{
		"refresh-begun endpoint", "refresh-raised endpoint", "refresh-answered endpoint", "refresh-sealed endpoint", "refresh-done endpoint",
		// The helper knows no delivery.
		"refresh-begun profile", "refresh-done profile",
	} {
		point, delivery, _ := strings.Cut(each, " ")
		for _, cleaned := range []bool{true, false} {
			name := each + " with cleanup"
			if !cleaned {
				name = each + " with a sweep"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := shortWorld(t, `delivery = "`+delivery+`"`, "9s")
				w.runner.StageEnv = map[string][]string{"run:step_0": {"ENVROLE_CRASH_AT=" + point}}
				w.runner.SkipCleanup = !cleaned
				enough := w.mark("renewal")
				// Where nobody cleans up the script is on its own: it ends with the test.
				cmd := w.startRunner(scripts(w, enough.wait()))
				first := w.firstExpiry()
				// At the helper's points only the helper dies, and the run stage
				// tries again; at the run stage's own points, the run stage.
				switch point {
				case "refresh-answered", "refresh-sealed":
					eventually(t, "a renewal is answered", func() bool { return len(w.generations()) > 1 })
					enough.set()
				case "refresh-raised":
					eventually(t, "the lease knows a later end", func() bool { return w.leases()[0].ExpiresAt.After(first) })
					enough.set()
				}
				_ = cmd.Wait()
				if !cleaned {
					if out, code := w.envrole("sweep"); code != 0 {
						t.Fatalf("sweep: %d\n%s", code, out)
					}
				}
				w.settled()
				w.noSockets()
				w.oneName()
				if n := w.aws.Count("PutRolePolicy"); n != 1 {
					t.Errorf("%d policies written, want 1", n)
				}
				w.raised(first, point != "refresh-begun")
				// Before the lease knows, STS is not asked.
				early := point == "refresh-begun" || point == "refresh-raised"
				if n := len(w.generations()); early != (n == 1) {
					t.Errorf("%d sessions", n)
				}
			})
		}
	}
}

// sockets are the directories of delivery by profile that are there.
func (w *world) sockets() (found []string) {
	w.t.Helper()
	for _, le := range w.leases() {
		dir := vend.Dir(le.ID) // another one each time, after the last dash
		left, err := filepath.Glob(dir[:strings.LastIndex(dir, "-")] + "-*")
		if err != nil {
			w.t.Fatal(err)
		}
		found = append(found, left...)
	}
	return found
}

// noSockets fails if one of them is left.
func (w *world) noSockets() {
	w.t.Helper()
	if left := w.sockets(); len(left) > 0 {
		w.t.Errorf("left behind: %v", left)
	}
}

// raised fails unless the lease knows a later end than the first, if it is to:
// one that is late enough for every session that AWS made.
func (w *world) raised(first time.Time, want bool) {
	w.t.Helper()
	now := w.leases()[0].ExpiresAt
	if now.After(first) != want {
		w.t.Errorf("the lease knows the end %s, and knew %s before the renewal", now, first)
	}
	made := w.generations()
	later := made[len(made)-1].IssuedAt.Sub(made[0].IssuedAt)
	// The first end was recorded before the first session was asked for.
	if want && now.Sub(first) < later-time.Second {
		w.t.Errorf("the lease's end was raised by %s, the last session came %s after the first", now.Sub(first), later)
	}
}

// firstExpiry waits for the lease and gives the end that it knows.
func (w *world) firstExpiry() time.Time {
	eventually(w.t, "the session is lent", func() bool { l := w.leases(); return len(l) == 1 && l[0].State == "lent" })
	return w.leases()[0].ExpiresAt
}

// STS is away when the renewal is due, for less than what is left: the job
// notices nothing.
func TestAnOutageOfSTSIsSatOut(t *testing.T) {
	t.Parallel()
	w := shortWorld(t, `delivery = "endpoint"`, "30s")
	enough := w.mark("enough")
	b := w.begin(scripts(w, w.goClient(enough)))
	b.lent()
	// The SDK tries so often, for three seconds at most, before the first renewal
	// has failed. Ten are left.
	w.aws.Push(fakeaws.Fault{Action: "AssumeRole", Match: "deploy-shop", Times: retry.DefaultMaxAttempts, Status: 503, Code: "ServiceUnavailable"})
	b.outlived(2)
	enough.set()
	res := b.result()
	if res.State != fakerunner.Success || w.used(w.generations()) < 2 {
		t.Fatalf("%s: %d sessions: %v\n%s", res.State, len(w.generations()), res.Err, res.Log)
	}
	if strings.Count(res.Log, "could not be renewed yet") != 1 || strings.Count(res.Log, "was renewed after all") != 1 {
		t.Errorf("the log:\n%s", res.Log)
	}
	w.settled()
}

// A permanent refusal is said once, with what to do; the job keeps what it has.
func TestAPermanentRefusalIsSaidOnce(t *testing.T) {
	t.Parallel()
	w := shortWorld(t, `delivery = "endpoint"`, sessionLife)
	goOn := w.mark("go-on")
	b := w.begin(scripts(w, "printf 'half a line'; "+w.askEndpoint()+"; "+goOn.wait()+"; "+w.askEndpoint()+"; "+w.askEndpoint()))
	b.lent()
	w.refuse()
	before := w.aws.Count("AssumeRole")
	b.ended()
	goOn.set()
	res := b.result()
	asked := w.aws.Count("AssumeRole") - before
	if n := strings.Count(res.Log, "cannot be renewed"); n != 1 || !strings.Contains(res.Log, "\nenvrole: session gl-") {
		t.Errorf("said %d times:\n%s", n, res.Log)
	}
	if asked != 2 { // one renewal, and the revoker
		t.Errorf("STS was asked %d times, want 2", asked)
	}
	if strings.Count(res.Log, "status 200") != 1 || strings.Count(res.Log, "status 403") != 2 {
		t.Errorf("the endpoint's answers:\n%s", res.Log)
	}
	if n := w.events(audit.RefreshFailed); n != 1 {
		t.Errorf("%d failures in the audit log, want 1", n)
	}
	w.settled()
}

// askEndpoint is a script's line that shows the status of the endpoint's answer.
// The # begins no secret in any form, so the filter holds nothing back.
func (w *world) askEndpoint() string {
	return `curl -s -o /dev/null -w ' status %{http_code} #\n' -H "Authorization: $AWS_CONTAINER_AUTHORIZATION_TOKEN" "$AWS_CONTAINER_CREDENTIALS_FULL_URI"`
}

// The host's clock is ten minutes off, either way: sessions are renewed in
// time, and tools do not take them for expired.
func TestAWrongClockChangesNothing(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			w := shortWorld(t, `delivery = "endpoint"`, sessionLife)
			w.aws.SetClockOffset(skew)
			enough := w.mark("enough")
			b := w.begin(scripts(w, w.goClient(enough)))
			b.outlived(3)
			enough.set()
			res := b.result()
			if res.State != fakerunner.Success || w.used(w.generations()) < 2 {
				t.Fatalf("%s: %d sessions: %v\n%s", res.State, len(w.generations()), res.Err, res.Log)
			}
			w.settled()
		})
	}
}

// An administrator's revocation stops the endpoint at once.
func TestARevokedSessionIsNotServed(t *testing.T) {
	w := shortWorld(t, `delivery = "endpoint"`, "60s")
	asked, revoked := w.mark("asked"), w.mark("revoked")
	b := w.begin(scripts(w, w.askEndpoint()+"; "+asked.touch()+"; "+revoked.wait()+"; "+w.askEndpoint()))
	b.until("the script asks", asked.isSet)
	if out, code := w.envrole("revoke", "--job", itoa64(w.leases()[0].JobID)); code != 0 {
		t.Fatalf("revoke: %d\n%s", code, out)
	}
	revoked.set()
	res := b.result()
	if strings.Count(res.Log, "status 200") != 1 || strings.Count(res.Log, "status 403") != 1 {
		t.Errorf("the endpoint's answers:\n%s", res.Log)
	}
	w.settled()
}
