package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"

	"envrole/internal/fakeaws"
	"envrole/internal/fakegitlab"
	"envrole/internal/fakerunner"
)

// limits writes a configuration with short time limits.
func (w *world) limits(key string) {
	w.t.Helper()
	w.configure(productionRule, "")
	w.replaceConfig("["+key+"]\n", "["+key+"]\ntimeout = \"3s\"\n")
}

// STS takes the question and never answers. Prepare ends by its own time limit,
// and what STS may have issued is denied.
func TestAHungSTSEndsInTime(t *testing.T) {
	for name, fault := range map[string]fakeaws.Fault{
		"before the work": {Action: "AssumeRole", Match: "deploy-shop", Times: -1, Hang: true},
		"after the work":  {Action: "AssumeRole", Match: "deploy-shop", Times: -1, Hang: true, DropAfter: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, productionRule)
			w.limits("aws")
			w.aws.Push(fault)
			res := w.run(w.payload("honest_production"), "echo it ran")
			if res.State != fakerunner.SystemFailure || strings.Contains(res.Log, "it ran") {
				t.Errorf("%s\n%s", res.State, res.Log)
			}
			mustHold(t, "the job's log", res.Log, "failed for now", deployRole)
			if n := len(w.leases()); n != 1 {
				t.Errorf("%d leases, want 1", n)
			}
			if n := w.aws.Count("PutRolePolicy"); n != 1 {
				t.Errorf("%d policies written, want 1: the session may exist", n)
			}
			w.settled()
			w.nothingLeft()
		})
	}
}

// A cancel while STS hangs: prepare ends at once on SIGTERM, not by its time
// limit, and cleanup denies what may exist.
func TestACancelWhileSTSHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, productionRule)
	w.runner.GracefulKill = 3 * time.Minute // a kill would show as this delay
	w.aws.Push(fakeaws.Fault{Action: "AssumeRole", Match: "deploy-shop", Times: -1, Hang: true, DropAfter: true})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_, _ = w.aws.WaitFor(ctx, func(c fakeaws.Call) bool { return c.Action == "AssumeRole" })
		eventually(t, "STS issues the session", func() bool { return len(w.live()) == 1 })
		cancel()
	}()
	start := time.Now()
	res := w.runner.Run(ctx, job(w.payload("honest_production"), "echo it ran"))
	if res.State != fakerunner.Canceled || strings.Contains(res.Log, "it ran") {
		t.Errorf("%s\n%s", res.State, res.Log)
	}
	if took := time.Since(start); took > 2*time.Minute {
		t.Errorf("prepare went on for %s after SIGTERM", took)
	}
	w.settled()
	w.nothingLeft()
}

// What GitLab does wrong, and how the job ends: a passing failure is the
// system's and may be retried, the rest is final.
func TestAGitLabThatDoesNotAnswerAsItShould(t *testing.T) {
	for name, tc := range map[string]struct {
		fault fakegitlab.Fault
		state fakerunner.State
		says  []string
	}{
		"hangs":                 {fakegitlab.Fault{Hang: true}, fakerunner.SystemFailure, []string{"failed for now", "allowed_agents", "did not give an answer in time"}},
		"hangs in mid-way":      {fakegitlab.Fault{HangInBody: true}, fakerunner.SystemFailure, []string{"failed for now"}},
		"drops":                 {fakegitlab.Fault{Drop: true}, fakerunner.SystemFailure, []string{"failed for now"}},
		"500":                   {fakegitlab.Fault{Status: 500}, fakerunner.SystemFailure, []string{"500 Internal Server Error", "the runner may try again"}},
		"429":                   {fakegitlab.Fault{Status: 429, RetryAfter: "3600"}, fakerunner.SystemFailure, []string{"429 Too Many Requests"}},
		"401":                   {fakegitlab.Fault{Status: 401}, fakerunner.ScriptFailure, []string{"refused", "401 Unauthorized", "The job may have ended"}},
		"403":                   {fakegitlab.Fault{Status: 403}, fakerunner.ScriptFailure, []string{"refused", "403 Forbidden", "IP allowlist"}},
		"404":                   {fakegitlab.Fault{Status: 404}, fakerunner.ScriptFailure, []string{"refused", "404 Not Found", "[gitlab] url"}},
		"redirects":             {fakegitlab.Fault{Redirect: true}, fakerunner.ScriptFailure, []string{"cannot go on", "302 Found", "Redirects are not followed"}},
		"a login page":          {fakegitlab.Fault{Body: "<html>", ContentType: "text/html"}, fakerunner.ScriptFailure, []string{"text/html"}},
		"environments hang":     {fakegitlab.Fault{Endpoint: fakegitlab.Environments, Hang: true}, fakerunner.SystemFailure, []string{"failed for now", "environments?name="}},
		"environments 403":      {fakegitlab.Fault{Endpoint: fakegitlab.Environments, Status: 403}, fakerunner.ScriptFailure, []string{"refused", "403 Forbidden", "Reporter"}},
		"environments redirect": {fakegitlab.Fault{Endpoint: fakegitlab.Environments, Redirect: true}, fakerunner.ScriptFailure, []string{"Redirects are not followed"}},
		"environments empty":    {fakegitlab.Fault{Endpoint: fakegitlab.Environments, Body: "[]"}, fakerunner.ScriptFailure, []string{"refused", "production"}},
		"half an answer":        {fakegitlab.Fault{Truncate: true}, fakerunner.ScriptFailure, nil},
		"an endless one":        {fakegitlab.Fault{Oversize: 2 << 20}, fakerunner.ScriptFailure, []string{"more than"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, productionRule)
			w.limits("gitlab")
			tc.fault.Times = -1
			w.gitlab.Push(tc.fault)
			payload := w.payload("honest_production")
			res := w.run(payload, "echo it ran")
			if res.State != tc.state || strings.Contains(res.Log, "it ran") {
				t.Errorf("%s, want %s\n%s", res.State, tc.state, res.Log)
			}
			mustHold(t, "the job's log", res.Log, tc.says...)
			if len(w.aws.Calls()) != 0 || len(w.leases()) != 0 {
				t.Errorf("%d calls to AWS, %d leases", len(w.aws.Calls()), len(w.leases()))
			}
			if v := w.gitlab.Visits(); len(v) != 0 {
				t.Errorf("the driver went elsewhere: %+v", v)
			}
			for _, r := range w.gitlab.Requests() {
				if r.TokenInURL {
					t.Errorf("the token stood in %s", r.Path)
				}
			}
			w.noToken(payload, res.Log+res.Cleanup)
			w.nothingLeft()
		})
	}
}

// One bad answer is made up for within the same prepare.
func TestAGitLabThatFailsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, productionRule)
	w.gitlab.Push(fakegitlab.Fault{Status: 502})
	if res := w.run(w.payload("honest_production"), "true"); res.State != fakerunner.Success || res.Attempts != 1 {
		t.Errorf("%s, %d attempts\n%s", res.State, res.Attempts, res.Log)
	}
}

// The first two attempts fail at STS, the third lends. Each attempt has another
// job_env and its own lease.
func TestPrepareIsTriedThreeTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, productionRule)
	w.runner.Attempts, w.runner.RetryDelay = 3, 10*time.Millisecond
	w.aws.Push(fakeaws.Fault{Action: "AssumeRole", Match: "deploy-shop", Times: 2 * retry.DefaultMaxAttempts, Status: 500, Code: "InternalFailure", Message: "try later"})
	res := w.run(w.payload("honest_production"), `echo "key $AWS_ACCESS_KEY_ID"`)
	if res.State != fakerunner.Success || res.Attempts != 3 || strings.Count(res.Log, "key ASIA") != 1 {
		t.Fatalf("%s, %d attempts\n%s", res.State, res.Attempts, res.Log)
	}
	issued := 0
	for _, s := range w.aws.Sessions() {
		if s.Role == deployRole {
			issued++
		}
	}
	if issued != 1 {
		t.Errorf("%d sessions issued, want 1", issued)
	}
	if n := len(w.leases()); n != 3 {
		t.Errorf("%d leases, want 3: STS may have issued after its 500s", n)
	}
	w.settled()
	w.nothingLeft()
	events := map[any]int{}
	for _, line := range w.audit() {
		events[line["event"]]++
	}
	if events["lend_failed"] != 2 || events["lent"] != 1 || events["revoked"] != 3 {
		t.Errorf("audit log: %v", events)
	}
}
