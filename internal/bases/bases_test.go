// Package bases_test proves that a base executor is one folder and one line: a
// fourth one, which no other file knows, goes through every stage.
package bases_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"envrole/executor/job"
	"envrole/internal/bases"
	"envrole/internal/fakeaws"
	"envrole/internal/fakegitlab"
	"envrole/internal/stage"
	"envrole/internal/stage/cleanup"
	"envrole/internal/stage/config"
	"envrole/internal/stage/prepare"
	"envrole/internal/stage/run"
)

const (
	deployRole  = "arn:aws:iam::111122223333:role/deploy-shop"
	revokerRole = "arn:aws:iam::111122223333:role/envrole-revoker"
)

// host is a runner's host whose programs know a fourth base.
type host struct {
	t              *testing.T
	aws            *fakeaws.Server
	dir            string
	call           stage.Call
	stdout, stderr bytes.Buffer
}

func (h *host) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("%v\n%s%s", err, &h.stdout, &h.stderr)
	}
}

func (h *host) write(name, text string) string {
	h.t.Helper()
	path := filepath.Join(h.dir, name)
	h.must(os.WriteFile(path, []byte(text), 0o600))
	return path
}

// newHost writes a configuration whose [executor.fourth] holds keys.
func newHost(t *testing.T, keys string) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir()}
	cloud, err := fakeaws.Start(fakeaws.Options{Roles: []fakeaws.Role{
		{ARN: deployRole, TrustedPrincipals: []string{fakeaws.DefaultUser}, AllowTagSession: true},
		{ARN: revokerRole, TrustedPrincipals: []string{fakeaws.DefaultUser}, Allow: []fakeaws.Permission{{
			Actions: []string{"iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:ListRolePolicies"}, Resources: []string{deployRole},
		}}},
	}})
	h.must(err)
	h.aws = cloud
	t.Cleanup(func() { _ = cloud.Close() })
	gitlab, err := fakegitlab.Start(fakegitlab.Options{})
	h.must(err)
	t.Cleanup(func() { _ = gitlab.Close() })
	read := func(dir string) []byte {
		b, err := os.ReadFile(filepath.Join("..", "..", "executor", dir, "testdata", "honest_production.json"))
		h.must(err)
		return b
	}
	_, err = gitlab.AddFromPayload(read("job"), read("proof"))
	h.must(err)
	env, err := cloud.Env(fakeaws.DefaultUser)
	h.must(err)
	for _, kv := range append(env, "HOME="+h.dir, "TMPDIR="+h.dir) {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	h.call = stage.Call{
		Stdout: &h.stdout, Stderr: &h.stderr, Bases: append(bases.Lean(), fourth{}),
		Runner: job.StageEnv{
			BuildFailure: 1, SystemFailure: 2, PayloadFile: h.write("payload.json", string(read("job"))),
			TempDir: h.dir, ExitCodeFile: filepath.Join(h.dir, "code"),
		},
		ConfigFile: h.write("config.toml", fmt.Sprintf(`[gitlab]
url = %q
[aws]
region = "eu-central-1"
[state]
dir = %q
[executor]
base = "fourth"
[executor.fourth]
dir = %q
%s
[[role]]
name = "production deploys"
environments = ["production"]
projects = ["acme/platform/*"]
role_arn = %q
`, gitlab.URL(), filepath.Join(h.dir, "state"), h.dir, keys, deployRole)),
	}
	return h
}

func (h *host) stage(s stage.Stage, args ...string) error {
	h.stdout.Reset()
	h.stderr.Reset()
	call := h.call
	call.Args = args
	return s.Run(h.t.Context(), call)
}

// begin runs config and hands its job_env on, as the runner does.
func (h *host) begin() (driver, builds string) {
	h.t.Helper()
	h.must(h.stage(config.Stage()))
	var out struct {
		Driver struct{ Name string }
		Builds string            `json:"builds_dir"`
		JobEnv map[string]string `json:"job_env"`
	}
	h.must(json.Unmarshal(h.stdout.Bytes(), &out))
	for name, value := range out.JobEnv {
		h.t.Setenv(name, value)
	}
	if out.JobEnv["FOURTH"] != "4" || !strings.Contains(h.stderr.String(), "fourth announces 9876543") {
		h.t.Errorf("%v\n%s", out, &h.stderr)
	}
	return out.Driver.Name, out.Builds
}

// holds wants texts in what the last stage wrote.
func (h *host) holds(wants ...string) {
	h.t.Helper()
	text := h.stdout.String() + h.stderr.String()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			h.t.Errorf("lacks %q:\n%s", want, text)
		}
	}
}

func TestAFourthBaseIsOneFolderAndOneLine(t *testing.T) {
	h := newHost(t, `greeting = "good morning"`)
	if driver, builds := h.begin(); driver != "envrole/fourth of the test" || builds != "/b" {
		t.Errorf("%q %q", driver, builds)
	}
	h.must(h.stage(prepare.Stage()))
	h.holds("role "+deployRole, "good morning from prepare")
	script := h.write("script", `echo "$SUB_STAGE: region ${AWS_REGION:-none}, secret ${AWS_SECRET_ACCESS_KEY:-none}"`+"\n")
	h.must(h.stage(run.Stage(), script, "get_sources"))
	h.holds("get_sources: region none, secret none")
	h.must(h.stage(run.Stage(), script, "build_script"))
	h.holds("build_script: region eu-central-1, secret [MASKED]")
	var failed *stage.ScriptFailure
	if err := h.stage(run.Stage(), h.write("failing", "exit 42\n"), "build_script"); !errors.As(err, &failed) || failed.Code != 42 {
		t.Errorf("exit 42: %v", err)
	}
	h.must(h.stage(cleanup.Stage()))
	h.holds("good morning from cleanup")
	if n := h.aws.Count("PutRolePolicy"); n != 1 {
		t.Errorf("%d policies, want 1", n)
	}
	// Without its sealed plan, by the configuration.
	h.must(h.stage(cleanup.Stage()))
	h.holds("lost from cleanup")
}

func TestAFourthBaseHasItsOwnTableAndItsOwnNo(t *testing.T) {
	h := newHost(t, `nonsense = 1`)
	if err := h.stage(config.Stage()); err == nil || !strings.Contains(err.Error(), "executor.fourth") {
		t.Errorf("an unknown key: %v", err)
	}
	h = newHost(t, `greeting = "no"`)
	h.begin()
	if err := h.stage(prepare.Stage()); !errors.Is(err, errMayNot) || h.aws.Count("AssumeRole") != 0 {
		t.Errorf("%v, %d sessions", err, h.aws.Count("AssumeRole"))
	}
	h.must(h.stage(cleanup.Stage()))
	h.holds("lost from cleanup")
	h.call.Bases = nil // the three that every program knows
	if err := h.stage(config.Stage()); err == nil || !strings.Contains(err.Error(), "fourth") {
		t.Errorf("a base that the program does not know: %v", err)
	}
}

func TestNamesOfBasesAreNotTakenTwice(t *testing.T) {
	known := bases.Lean()
	if again := known.With(known[0]); len(again) != len(known) {
		t.Errorf("%d bases, want %d", len(again), len(known))
	}
	if more := known.With(fourth{}); len(more) != len(known)+1 || len(known.Tables()) != len(known) {
		t.Errorf("%d bases, want one more than %d", len(more), len(known))
	}
}
