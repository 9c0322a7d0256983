package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"envrole/internal/fakerunner"
)

// signer is the OpenID Connect provider of a world's GitLab, made with a library.
type signer struct {
	w    *world
	key  *rsa.PrivateKey
	oidc *oidctest.Server
}

func (w *world) signer() *signer {
	w.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		w.t.Fatal(err)
	}
	s := &signer{w: w, key: key, oidc: &oidctest.Server{
		PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "gitlab-1", Algorithm: "RS256"}},
	}}
	s.oidc.SetIssuer(w.gitlab.URL())
	w.gitlab.SetPages(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		s.oidc.ServeHTTP(rw, r)
	}))
	return s
}

// token is what GitLab signs for the job of honest_production, with changes.
func (s *signer) token(changes map[string]any) string {
	s.w.t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": s.w.gitlab.URL(), "aud": "envrole", "jti": "token-1", "iat": now, "nbf": now - 5, "exp": now + 3600,
		"job_id": "9876543", "pipeline_id": "6001", "pipeline_source": "web", "project_id": "150", "project_path": "acme/platform/shop",
		"job_project_id": "150", "job_project_path": "acme/platform/shop",
		"user_id": "42", "user_login": "alice", "user_access_level": "maintainer",
		"ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
		"environment": "production", "environment_protected": "true", "deployment_tier": "production", "environment_action": "start",
		"ci_config_ref_uri": strings.TrimPrefix(s.w.gitlab.URL(), "http://") + "/acme/platform/shop//.gitlab-ci.yml@refs/heads/main",
	}
	maps.Copy(claims, changes)
	raw, err := json.Marshal(claims)
	if err != nil {
		s.w.t.Fatal(err)
	}
	return oidctest.SignIDToken(s.key, "gitlab-1", "RS256", string(raw))
}

func (w *world) withVariable(payload []byte, value string) []byte {
	w.t.Helper()
	p, err := fakerunner.WithVariables(payload, fakerunner.Variable{Key: "SOME_NAME", Value: value})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) audited() string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.state, "audit.jsonl"))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

const signedRule = productionRule + `environment_protected = true
user_access_levels = ["maintainer", "owner"]
ci_config = ["acme/platform/shop//.gitlab-ci.yml@refs/heads/main"]
`

func TestAnIDTokenAloneProvesTheEnvironment(t *testing.T) {
	w := newWorld(t, "")
	s := w.signer()
	w.configureGitLab(`proof = "id_token"`, signedRule)
	payload := w.payload("honest_production")
	token := s.token(nil)
	for i := range 2 {
		res := w.run(w.withVariable(payload, token), `echo "key ${AWS_ACCESS_KEY_ID:-none}"`)
		if res.State != fakerunner.Success || !strings.Contains(res.Log, "key ASIA") ||
			!strings.Contains(res.Log, `environment "production", proven by GitLab (ID token)`) ||
			!strings.Contains(res.Log, "environment_protected, user_access_level, ci_config") {
			t.Fatalf("%d: %s %v\n%s", i, res.State, res.Err, res.Log)
		}
	}
	requests := w.gitlab.Requests()
	if len(requests) != 2 {
		t.Errorf("%d requests to GitLab, want 2 for the keys of both jobs", len(requests))
	}
	log := w.audited()
	for _, want := range []string{`"environment_from":"GitLab (ID token)"`, `"user_access_level":"GitLab (ID token)"`, `"tier":"the job's author"`, `"id_token":"token-1"`, `"id_token_key":"gitlab-1"`, `"jwks_stale":false`} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit log lacks %s:\n%s", want, log)
		}
	}
	if strings.Contains(log, token[:30]) || strings.Contains(log, strings.Split(token, ".")[2]) {
		t.Error("the audit log holds the token")
	}
	// Proof, never a credential: AWS has not seen it.
	for _, c := range w.aws.Calls() {
		if c.Action == "AssumeRoleWithWebIdentity" || strings.Contains(fmt.Sprintf("%+v", c), strings.Split(token, ".")[1]) {
			t.Errorf("the token went to AWS: %s", c.Action)
		}
	}
}

func TestWithoutAGoodTokenThereIsNoRole(t *testing.T) {
	w := newWorld(t, "")
	s := w.signer()
	w.configureGitLab(`proof = "id_token"`, signedRule)
	payload := w.payload("honest_production")
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	stolen := s.key
	for _, c := range []struct{ name, value, says string }{
		{"none", "main", "id_tokens:"},
		{"another job's", s.token(map[string]any{"job_id": "1"}), "belongs to job 1"},
		{"another environment's", s.token(map[string]any{"environment": "staging"}), `its ID token says "staging"`},
		{"for AWS", s.token(map[string]any{"aud": "sts.amazonaws.com"}), "aud: 'envrole'"},
		{"another key's", func() string { s.key = other; defer func() { s.key = stolen }(); return s.token(nil) }(), "signature"},
	} {
		res := w.run(w.withVariable(payload, c.value), "true")
		if res.State != fakerunner.ScriptFailure || !strings.Contains(res.Log, c.says) {
			t.Errorf("%s: %s\n%s", c.name, res.State, res.Log)
		}
		if strings.Count(c.value, ".") == 2 && strings.Contains(res.Log, strings.Split(c.value, ".")[1]) {
			t.Errorf("%s: the log repeats the token", c.name)
		}
	}
	for name, changes := range map[string]map[string]any{
		"environment_protected": {"environment_protected": "false"},
		"user_access_levels":    {"user_access_level": "developer"},
		"ci_config":             {"ci_config_ref_uri": "gitlab.example.com/acme/platform/shop//.gitlab-ci.yml@refs/heads/main"},
	} {
		res := w.run(w.withVariable(payload, s.token(changes)), `echo "key ${AWS_ACCESS_KEY_ID:-none}"`)
		if res.State != fakerunner.Success || !strings.Contains(res.Log, "key none") || !strings.Contains(res.Log, name+": ") {
			t.Errorf("%s: %s\n%s", name, res.State, res.Log)
		}
	}
	// A job that no rule concerns needs no token.
	if res := w.run(w.payload("honest_without_environment"), "true"); res.State != fakerunner.Success {
		t.Errorf("no environment: %s\n%s", res.State, res.Log)
	}
	if n := w.aws.Count("AssumeRole"); n != 0 {
		t.Errorf("STS was asked %d times", n)
	}
}

func TestBothProofsOfOneJob(t *testing.T) {
	w := newWorld(t, "")
	s := w.signer()
	lower := strings.Replace(productionRule, "production deploys", "without a token", 1)
	w.configureGitLab("", productionRule+"proof = \"id_token\"\ntiers = [\"production\"]\n\n"+lower)
	payload := w.payload("honest_production")
	res := w.run(w.withVariable(payload, s.token(nil)), "true")
	if res.State != fakerunner.Success || !strings.Contains(res.Log, "proven by GitLab (ID token and API)") || !strings.Contains(res.Log, "tier by GitLab (API)") {
		t.Errorf("%s %v\n%s", res.State, res.Err, res.Log)
	}
	// Leaving the token away does not lead to the rule below.
	res = w.run(payload, "true")
	if res.State != fakerunner.ScriptFailure || !strings.Contains(res.Log, "the rule wants GitLab (ID token)") || !strings.Contains(res.Log, "id_tokens:") {
		t.Errorf("no token: %s\n%s", res.State, res.Log)
	}
	// The two disagree: a token of the moment before the environment's user changed hands.
	res = w.run(w.withVariable(payload, s.token(map[string]any{"user_login": "eve"})), "true")
	if res.State != fakerunner.ScriptFailure || !strings.Contains(res.Log, "GitLab's API says user") {
		t.Errorf("contradiction: %s\n%s", res.State, res.Log)
	}
}

// The payload of a 17.0 does not say whether the ref is protected; its token does.
func TestATokenSaysOfAnOldRunnersJobThatTheRefIsProtected(t *testing.T) {
	w := newWorld(t, "")
	s := w.signer()
	w.configureGitLab(`proof = "id_token"`, strings.ReplaceAll(productionRule, "acme/platform/*", "acme/shop/*"))
	payload := w.runner17()
	claims := map[string]any{
		"job_id": "900100", "pipeline_id": "7001", "project_id": "4242", "project_path": "acme/shop/web",
		"job_project_id": "4242", "job_project_path": "acme/shop/web", "user_id": "33", "user_login": "dana",
	}
	res := w.run(w.withVariable(payload, s.token(claims)), `echo "key ${AWS_ACCESS_KEY_ID:-none}"`)
	if res.State != fakerunner.Success || !strings.Contains(res.Log, "key ASIA") {
		t.Errorf("%s %v\n%s", res.State, res.Err, res.Log)
	}
	claims["ref_protected"] = "false"
	res = w.run(w.withVariable(payload, s.token(claims)), `echo "key ${AWS_ACCESS_KEY_ID:-none}"`)
	if res.State != fakerunner.Success || !strings.Contains(res.Log, "key none") || !strings.Contains(res.Log, "ref_protected") {
		t.Errorf("not protected: %s\n%s", res.State, res.Log)
	}
}

func TestGitLabsKeysOutliveItsOutage(t *testing.T) {
	w := newWorld(t, "")
	s := w.signer()
	w.configureGitLab("proof = \"id_token\"\njwks_max_age = \"1m\"\ntimeout = \"2s\"", signedRule)
	payload := w.withVariable(w.payload("honest_production"), s.token(nil))
	if res := w.run(payload, "true"); res.State != fakerunner.Success {
		t.Fatalf("%s %v\n%s", res.State, res.Err, res.Log)
	}
	// The cache is two minutes old now, and GitLab is away.
	cache := filepath.Join(w.state, "jwks.json")
	b, err := os.ReadFile(cache)
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	c["fetched"], c["asked"] = time.Now().Unix()-120, time.Now().Unix()-120
	if b, err = json.Marshal(c); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cache, b, 0o600); err != nil {
		t.Fatal(err)
	}
	w.gitlab.SetPages(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) }))
	res := w.run(payload, "true")
	if res.State != fakerunner.Success || !strings.Contains(res.Log, "warning: GitLab gave no signing keys") || !strings.Contains(w.audited(), `"jwks_stale":true`) {
		t.Errorf("%s %v\n%s", res.State, res.Err, res.Log)
	}
}

func TestThePolicyHasTheLastWord(t *testing.T) {
	w := newWorld(t, "")
	program := filepath.Join(w.dir, "policy")
	seen := filepath.Join(w.dir, "seen")
	pin := func(text string) {
		t.Helper()
		if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		w.configure(productionRule, fmt.Sprintf("[policy]\ncommand = [%q]\nsha256 = \"%x\"\n", program, sha256.Sum256([]byte(text))))
	}
	payload := w.payload("honest_production")
	pin("#!/bin/sh\ncat > " + seen + "\necho '{\"allow\":true,\"message\":\"ticket 12\"}'\n")
	res := w.run(payload, `echo "key ${AWS_ACCESS_KEY_ID:-none}"`)
	if res.State != fakerunner.Success || !strings.Contains(res.Log, "key ASIA") || !strings.Contains(res.Log, "envrole: policy: ticket 12") {
		t.Fatalf("%s %v\n%s", res.State, res.Err, res.Log)
	}
	b, err := os.ReadFile(seen)
	if err != nil || !strings.Contains(string(b), `"role_arn":"`+deployRole+`"`) || strings.Contains(string(b), "glcbt-") {
		t.Errorf("%v\n%s", err, b)
	}
	if !strings.Contains(w.audited(), `"policy":"allow"`) {
		t.Error(w.audited())
	}
	lent := w.aws.Count("AssumeRole")

	pin("#!/bin/sh\necho '{\"allow\":false,\"message\":\"not on a Friday\"}'\n")
	res = w.run(payload, "true")
	if res.State != fakerunner.ScriptFailure || !strings.Contains(res.Log, "not on a Friday") || !strings.Contains(w.audited(), `"policy":"deny"`) {
		t.Errorf("%s\n%s", res.State, res.Log)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho '{\"allow\":true}'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	res = w.run(payload, "true")
	if res.State != fakerunner.ScriptFailure || !strings.Contains(res.Log, "has the digest") {
		t.Errorf("changed: %s\n%s", res.State, res.Log)
	}
	if w.aws.Count("AssumeRole") != lent || len(w.live()) > 0 {
		t.Error("a role was lent against the policy")
	}
	// A job without a matching rule is not put to it.
	if res := w.run(w.payload("honest_without_environment"), "true"); res.State != fakerunner.Success {
		t.Errorf("%s\n%s", res.State, res.Log)
	}
}
