package prepare

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"envrole/executor/job"
	"envrole/internal/audit"
	"envrole/internal/bases"
	"envrole/internal/stage"
	"envrole/roles"
	"envrole/roles/session"
)

func TestAJobCannotFillTheAuditLogWithItsClaims(t *testing.T) {
	dir := t.TempDir()
	events, err := audit.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	payload := &job.Payload{}
	for i := range 1000 {
		payload.Variables = append(payload.Variables, job.Variable{Key: "CI_ENVIRONMENT_NAME", Value: fmt.Sprint(i) + strings.Repeat("x", 1000)})
	}
	_, conf, _ := world(t)
	p := &preparation{call: stage.Call{Stdout: io.Discard}, conf: conf, log: events, payload: payload}
	if err := p.withoutRole(roles.Decision{Why: "why"}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, audit.FileName))
	if err != nil || len(b) > 4<<10 || !strings.Contains(string(b), "995 more") {
		t.Errorf("%d bytes, %v: %.200s", len(b), err, b)
	}
}

// What is recommended must work with the base that runs the job.
func TestAJobThatMayOutliveItsSessionIsTold(t *testing.T) {
	all := []string{roles.DeliveryEnv, roles.DeliveryEndpoint, roles.DeliveryProfile}
	for _, tc := range []struct {
		timeout, lasts time.Duration
		delivery       string
		can            []string
		want           string
	}{
		{6 * time.Hour, time.Hour, "env", all, `the job may run for 6h0m0s, its session lasts 1h0m0s and is renewed between scripts only; delivery = "endpoint" renews it within one`},
		{6 * time.Hour, time.Hour, "", all, `; delivery = "endpoint" renews it within one`},
		{6 * time.Hour, time.Hour, "env", []string{"env", "profile"}, `; delivery = "profile" renews it within one`},
		{6 * time.Hour, time.Hour, "env", []string{"env"}, `the job may run for 6h0m0s, its session lasts 1h0m0s and is renewed between scripts only: with this base, a script that runs for longer needs a longer duration`},
		{time.Hour + time.Second, time.Hour, "env", []string{"env"}, "may run for 1h0m1s"},
		{time.Hour, time.Hour, "env", all, ""},
		{0, time.Hour, "env", all, ""}, // GitLab did not say
		{6 * time.Hour, time.Hour, "endpoint", all, ""},
		{6 * time.Hour, time.Hour, "profile", all, ""},
	} {
		got := outlives(tc.timeout, tc.lasts, tc.delivery, tc.can)
		if !strings.Contains(got, tc.want) || (tc.want == "") != (got == "") || strings.Contains(got, "delivery") && len(tc.can) == 1 {
			t.Errorf("%+v: said %q", tc, got)
		}
	}
}

// And it is said in the job's log, once, with what the base's own table promises.
func TestTheLogTellsOfTheNotice(t *testing.T) {
	for delivery, times := range map[string]int{roles.DeliveryEnv: 1, roles.DeliveryEndpoint: 0} {
		var out bytes.Buffer
		_, conf, _ := world(t)
		base, err := bases.Lean().Named(conf.Executor.Base)
		if err != nil {
			t.Fatal(err)
		}
		p := &preparation{call: stage.Call{Stdout: &out}, conf: conf, base: base, payload: &job.Payload{Timeout: 6 * time.Hour}}
		p.tellLent(roles.Decision{Rule: &roles.Rule{}, Grant: roles.Grant{Delivery: delivery}}, session.Session{Duration: time.Hour})
		if n := strings.Count(out.String(), "envrole: notice: the job may run for 6h0m0s"); n != times {
			t.Errorf("%s: said %d times:\n%s", delivery, n, &out)
		}
	}
}
