package stage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"envrole/executor/job"
	"envrole/internal/fakeaws"
	"envrole/internal/fakegitlab"
	"envrole/internal/stage"
	"envrole/internal/stage/cleanup"
	"envrole/internal/stage/config"
	"envrole/internal/stage/prepare"
	"envrole/internal/stage/run"
	"envrole/roles/fault"
	"envrole/roles/lease"
)

const (
	deployRole  = "arn:aws:iam::111122223333:role/deploy-shop"
	revokerRole = "arn:aws:iam::111122223333:role/envrole-revoker"
)

// host is one runner's host, with an AWS and a GitLab; the stages run in this
// process, one after the other.
type host struct {
	t      *testing.T
	aws    *fakeaws.Server
	config string
	state  string
	call   stage.Call
	stdout bytes.Buffer
	stderr bytes.Buffer
}

func newHost(t *testing.T) *host {
	t.Helper()
	aws, err := fakeaws.Start(fakeaws.Options{Roles: []fakeaws.Role{
		{ARN: deployRole, TrustedPrincipals: []string{fakeaws.DefaultUser}, AllowTagSession: true},
		{ARN: revokerRole, TrustedPrincipals: []string{fakeaws.DefaultUser}, Allow: []fakeaws.Permission{{
			Actions:   []string{"iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:ListRolePolicies"},
			Resources: []string{deployRole},
		}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = aws.Close() })
	gitlab, err := fakegitlab.Start(fakegitlab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = gitlab.Close() })
	dir := t.TempDir()
	h := &host{t: t, aws: aws, config: filepath.Join(dir, "config.toml"), state: filepath.Join(dir, "state")}
	h.write(h.config, fmt.Sprintf(`[gitlab]
url = %q
[aws]
region = "eu-central-1"
[state]
dir = %q
[executor.shell]
same_user = "trusted"
metadata = "allow"
builds_dir = %q
cache_dir = %q
[[role]]
name = "production deploys"
environments = ["production"]
projects = ["acme/platform/*"]
role_arn = %q
`, gitlab.URL(), h.state, dir+"/builds", dir+"/cache", deployRole))
	payload, answer := h.testdata("job"), h.testdata("proof")
	if _, err := gitlab.AddFromPayload(payload, answer); err != nil {
		t.Fatal(err)
	}
	h.write(filepath.Join(dir, "payload.json"), string(payload))
	env, err := aws.Env(fakeaws.DefaultUser)
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range append(env, "HOME="+dir, "TMPDIR="+dir) {
		k, v, _ := strings.Cut(kv, "=")
		t.Setenv(k, v)
	}
	h.call = stage.Call{
		ConfigFile: h.config, Stdout: &h.stdout, Stderr: &h.stderr,
		Runner: job.StageEnv{BuildFailure: 1, SystemFailure: 2, PayloadFile: filepath.Join(dir, "payload.json"), TempDir: dir},
	}
	h.begin()
	return h
}

func (h *host) write(path, text string) {
	h.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) testdata(dir string) []byte {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "executor", dir, "testdata", "honest_production.json"))
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// begin runs the config stage and hands its job_env on, as the runner does.
func (h *host) begin() {
	h.t.Helper()
	h.must(config.Stage())
	var out struct {
		JobEnv map[string]string `json:"job_env"`
	}
	if err := json.Unmarshal(h.stdout.Bytes(), &out); err != nil {
		h.t.Fatal(err)
	}
	for k, v := range out.JobEnv {
		h.t.Setenv(k, v)
	}
	h.stdout.Reset()
}

func (h *host) run(s stage.Stage, args ...string) error {
	h.stdout.Reset()
	h.stderr.Reset()
	call := h.call
	call.Args = args
	return s.Run(context.Background(), call)
}

func (h *host) must(s stage.Stage, args ...string) {
	h.t.Helper()
	if err := h.run(s, args...); err != nil {
		h.t.Fatalf("%s: %v\n%s%s", s.Name, err, &h.stdout, &h.stderr)
	}
}

func (h *host) leases() []lease.Lease {
	h.t.Helper()
	ledger, err := lease.Open(h.state)
	if err != nil {
		h.t.Fatal(err)
	}
	all, damaged, err := ledger.List(context.Background())
	if err != nil || len(damaged) > 0 {
		h.t.Fatalf("ledger: %v %v", err, damaged)
	}
	return all
}

// only is the one lease of this host.
func (h *host) only() lease.Lease {
	h.t.Helper()
	all := h.leases()
	if len(all) != 1 {
		h.t.Fatalf("leases: %+v", all)
	}
	return all[0]
}

func (h *host) sealed() int {
	h.t.Helper()
	entries, err := os.ReadDir(filepath.Join(h.state, "sealed"))
	if err != nil {
		h.t.Fatal(err)
	}
	return len(entries)
}

func (h *host) log() string {
	h.t.Helper()
	b, err := os.ReadFile(filepath.Join(h.state, "audit.jsonl"))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(b)
}

// A lease of what STS was never asked for would make every sweep write a deny.
func TestARunnerWithoutCredentialsLeavesNoLease(t *testing.T) {
	h := newHost(t)
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} {
		t.Setenv(name, "")
	}
	// A container's credentials whose endpoint is not there (yet).
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/")
	if err := h.run(prepare.Stage()); fault.ClassOf(err) != fault.Passing {
		t.Fatalf("prepare: %v", err)
	}
	if all := h.leases(); len(all) != 0 {
		t.Errorf("left: %+v", all)
	}
}

// The administrator is in the middle of an edit when a job ends.
func TestCleanupWithABrokenConfigurationStillClosesTheJob(t *testing.T) {
	h := newHost(t)
	h.must(prepare.Stage())
	good, err := os.ReadFile(h.config)
	if err != nil {
		t.Fatal(err)
	}
	h.write(h.config, string(good)+"oops = true\n")
	err = h.run(cleanup.Stage())
	if err == nil || !strings.Contains(err.Error(), "oops") {
		t.Errorf("the problem is not named: %v", err)
	}
	le := h.only()
	if le.State != lease.Unrevoked || h.sealed() != 0 {
		t.Errorf("lease %s, %d sealed files", le.State, h.sealed())
	}
	for _, want := range []string{"session " + le.SessionName, "NOT revoked", "configuration"} {
		if !strings.Contains(h.stderr.String(), want) {
			t.Errorf("not said: %q\n%s", want, &h.stderr)
		}
	}
	if !strings.Contains(h.log(), `"event":"revoke_failed"`) {
		t.Errorf("audit log:\n%s", h.log())
	}
	if n := h.aws.Count("PutRolePolicy"); n != 0 {
		t.Errorf("%d policies were written without a configuration", n)
	}
	h.write(h.config, string(good))
	h.must(cleanup.Stage())
	if le = h.only(); le.State != lease.Denied || h.aws.Count("PutRolePolicy") != 1 {
		t.Errorf("after the configuration was mended: %+v", le)
	}
}

func TestCleanupFindsTheLeaseThoughTheStateDirectoryMoved(t *testing.T) {
	h := newHost(t)
	h.must(prepare.Stage())
	text, err := os.ReadFile(h.config)
	if err != nil {
		t.Fatal(err)
	}
	h.write(h.config, strings.Replace(string(text), h.state, h.state+"-new", 1))
	h.must(cleanup.Stage())
	if le := h.only(); le.State != lease.Denied || h.sealed() != 0 {
		t.Errorf("lease: %+v, %d sealed files", le, h.sealed())
	}
}

func TestCleanupWithoutItsKeyStillRevokes(t *testing.T) {
	h := newHost(t)
	h.must(prepare.Stage())
	t.Setenv(stage.EnvKey, "")
	h.must(cleanup.Stage())
	if le := h.only(); le.State != lease.Denied || h.sealed() != 0 {
		t.Errorf("lease: %+v, %d sealed files", le, h.sealed())
	}
}

// The ledger is of no use, but the sealed hand-over still knows the session.
func TestADamagedLeaseIsNotTheEndOfWhatIsKnown(t *testing.T) {
	h := newHost(t)
	h.must(prepare.Stage())
	le := h.only()
	h.write(filepath.Join(h.state, "leases", le.ID+".json"), "{")
	if err := h.run(cleanup.Stage()); err == nil {
		t.Error("cleanup is content")
	}
	for _, want := range []string{"cannot be read", le.SessionName + " of role " + deployRole, "by hand"} {
		if !strings.Contains(h.stderr.String(), want) {
			t.Errorf("not said: %q\n%s", want, &h.stderr)
		}
	}
	if h.sealed() != 0 || strings.Contains(h.stderr.String(), "0001-01-01") {
		t.Errorf("%d sealed files\n%s", h.sealed(), &h.stderr)
	}
}

// A statement to copy is of no use among three copies of it.
func TestCleanupSaysOnceWhatToDo(t *testing.T) {
	h := newHost(t)
	h.must(prepare.Stage())
	h.aws.Push(fakeaws.Fault{Action: "PutRolePolicy", Status: 403, Code: "AccessDenied", Message: "no", Times: -1})
	err := h.run(cleanup.Stage())
	stage.Explain(&h.stderr, err)
	if fault.ClassOf(err) != fault.Permanent || strings.Count(h.stderr.String(), `"iam:PutRolePolicy"`) != 1 {
		t.Errorf("%v\n%s", err, &h.stderr)
	}
}

// Config refuses a job, so nothing was handed on: no word of a runner that is set
// up wrongly.
func TestCleanupAfterARefusalInConfigIsCalm(t *testing.T) {
	h := newHost(t)
	for _, name := range []string{stage.EnvLease, stage.EnvKey, stage.EnvState, stage.EnvOwner} {
		t.Setenv(name, "")
	}
	h.must(cleanup.Stage())
	if got := h.stderr.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "no job_env: only leftovers are swept") {
		t.Errorf("got %q", got)
	}
	t.Setenv(stage.EnvLease, "no lease id")
	t.Setenv(stage.EnvState, h.state)
	h.must(cleanup.Stage())
	if got := h.stderr.String(); !strings.Contains(got, "not a lease id") {
		t.Errorf("got %q", got)
	}
}

// After the red button a job must be told what happened, not that a file is gone.
func TestAJobWhoseSessionWasTakenBackIsToldSo(t *testing.T) {
	h := newHost(t)
	h.must(prepare.Stage())
	h.must(cleanup.Stage())
	script := filepath.Join(t.TempDir(), "script")
	h.write(script, "echo hello\n")
	err := h.run(run.Stage(), script, "build_script")
	if err == nil || !strings.Contains(err.Error(), "taken back") || !strings.Contains(fault.HelpOf(err), "administrator") {
		t.Errorf("run: %v\n%s", err, fault.HelpOf(err))
	}
}
