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
	"envrole/internal/vend"
)

// The run stage and its helper die at every step of a renewal. Cleanup, which
// comes after, or a sweep where the host died, takes every generation back.
func TestAKilledRenewalLosesNothing(t *testing.T) {
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
				w := shortWorld(t, `delivery = "`+delivery+`"`, "6s")
				w.runner.StageEnv = map[string][]string{"run:step_0": {"ENVROLE_CRASH_AT=" + point}}
				w.runner.SkipCleanup = !cleaned
				asked := func() bool { return w.aws.Count("AssumeRole") > 1 }
				marker := filepath.Join(w.dir, "renewal")
				// Where nobody cleans up the script is on its own: it ends with the test.
				cmd := w.startRunner(scripts(w, "until [ -e "+marker+" ] || [ ! -d "+w.dir+" ]; do sleep 0.1; done"))
				// At the helper's points only the helper dies, and the run stage
				// tries again; at the run stage's own points, the run stage.
				switch point {
				case "refresh-answered", "refresh-sealed":
					eventually(t, "a renewal asks STS", asked)
				case "refresh-raised":
					first := w.firstExpiry()
					eventually(t, "the lease knows a later end", func() bool { return w.leases()[0].ExpiresAt.After(first) })
				}
				if helper := point != "refresh-begun" && point != "refresh-done"; helper {
					if err := os.WriteFile(marker, nil, 0o600); err != nil {
						t.Fatal(err)
					}
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
				for _, s := range w.generations() {
					if le := w.leases()[0]; s.Expiration.After(le.ExpiresAt) {
						t.Errorf("a session lives until %s, the lease only knows of %s", s.Expiration, le.ExpiresAt)
					}
				}
			})
		}
	}
}

// noSockets fails if a directory of delivery by profile is left.
func (w *world) noSockets() {
	w.t.Helper()
	for _, le := range w.leases() {
		dir := vend.Dir(le.ID) // another one each time, after the last dash
		left, err := filepath.Glob(dir[:strings.LastIndex(dir, "-")] + "-*")
		if err != nil || len(left) > 0 {
			w.t.Errorf("left behind: %v %v", left, err)
		}
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
	w := shortWorld(t, `delivery = "endpoint"`, "9s")
	marker := filepath.Join(w.dir, "started")
	done := make(chan fakerunner.Result, 1)
	go func() {
		done <- w.runner.Run(t.Context(), scripts(w, "touch "+marker+"; "+clientAt+"="+w.aws.URL()+" "+os.Args[0]))
	}()
	eventually(t, "the script starts", func() bool { _, err := os.Stat(marker); return err == nil })
	// The SDK itself tries three times before the first renewal has failed.
	w.aws.Push(fakeaws.Fault{Action: "AssumeRole", Match: "deploy-shop", Times: 4, Status: 503, Code: "ServiceUnavailable"})
	res := <-done
	if res.State != fakerunner.Success || len(w.generations()) < 2 {
		t.Fatalf("%s: %d sessions: %v\n%s", res.State, len(w.generations()), res.Err, res.Log)
	}
	if strings.Count(res.Log, "could not be renewed yet") != 1 || strings.Count(res.Log, "was renewed after all") != 1 {
		t.Errorf("the log:\n%s", res.Log)
	}
	w.settled()
}

// A permanent refusal is said once, with what to do; the job keeps what it has.
func TestAPermanentRefusalIsSaidOnce(t *testing.T) {
	w := shortWorld(t, `delivery = "endpoint"`, "5s")
	marker := filepath.Join(w.dir, "started")
	done := make(chan fakerunner.Result, 1)
	go func() {
		done <- w.runner.Run(t.Context(), scripts(w, "touch "+marker+"; printf 'half a line'; "+w.askEndpoint()+"; sleep 6; "+w.askEndpoint()+"; "+w.askEndpoint()))
	}()
	eventually(t, "the script starts", func() bool { _, err := os.Stat(marker); return err == nil })
	w.aws.Push(fakeaws.Fault{Action: "AssumeRole", Match: "deploy-shop", Times: -1, Status: 403, Code: "AccessDenied", Message: "User: x is not authorized to perform: sts:AssumeRole on resource: " + deployRole})
	before := w.aws.Count("AssumeRole")
	res := <-done
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
	for _, skew := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			w := shortWorld(t, `delivery = "endpoint"`, sessionLife)
			w.aws.SetClockOffset(skew)
			res := w.runner.Run(t.Context(), scripts(w, clientAt+"="+w.aws.URL()+" "+os.Args[0]))
			if res.State != fakerunner.Success || len(w.generations()) < 3 {
				t.Fatalf("%s: %d sessions: %v\n%s", res.State, len(w.generations()), res.Err, res.Log)
			}
			w.settled()
		})
	}
}

// An administrator's revocation stops the endpoint at once.
func TestARevokedSessionIsNotServed(t *testing.T) {
	w := shortWorld(t, `delivery = "endpoint"`, "60s")
	marker, revoked := filepath.Join(w.dir, "started"), filepath.Join(w.dir, "revoked")
	done := make(chan fakerunner.Result, 1)
	go func() {
		done <- w.runner.Run(t.Context(), scripts(w, w.askEndpoint()+"; touch "+marker+"; until [ -e "+revoked+" ]; do sleep 0.1; done; "+w.askEndpoint()))
	}()
	eventually(t, "the script asks", func() bool { _, err := os.Stat(marker); return err == nil })
	if out, code := w.envrole("revoke", "--job", itoa64(w.leases()[0].JobID)); code != 0 {
		t.Fatalf("revoke: %d\n%s", code, out)
	}
	if err := os.WriteFile(revoked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	res := <-done
	if strings.Count(res.Log, "status 200") != 1 || strings.Count(res.Log, "status 403") != 1 {
		t.Errorf("the endpoint's answers:\n%s", res.Log)
	}
	w.settled()
}
