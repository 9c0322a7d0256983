package admin

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"envrole/executor/job"
	"envrole/executor/proof"
	"envrole/executor/proof/idtoken"
	"envrole/roles/seal"
)

const signedRules = `[[role]]
name = "signed"
environments = ["production"]
projects = ["acme/platform/shop"]
proof = "id_token"
environment_protected = true
user_access_levels = ["maintainer"]
ci_config = ["acme/platform/shop//.gitlab-ci.yml@refs/heads/main"]
role_arn = "arn:aws:iam::111122223333:role/deploy"
`

func TestCheckSaysWhatToSeeToInAWS(t *testing.T) {
	file, _ := write(t, good)
	if out, _, code := call(t, "check", "--config", file); code != exitOK || strings.Contains(out, "note:") {
		t.Errorf("%d\n%s", code, out)
	}
	file, _ = write(t, good+signedRules)
	out, _, code := call(t, "check", "--config", file)
	if code != exitOK || !strings.Contains(out, `note: `) || !strings.Contains(out, `no OIDC provider in any AWS account may accept the audience "envrole"`) {
		t.Errorf("%d\n%s", code, out)
	}
}

func TestExplainByProof(t *testing.T) {
	file, _ := write(t, good+signedRules)
	const job = "--project acme/platform/shop --environment production --ref main --protected "
	const claims = "--environment-protected --user-access-level maintainer --ci-config acme/platform/shop//.gitlab-ci.yml@refs/heads/main "
	for args, want := range map[string]string{
		job + claims:                                  "lend: ",
		job + claims + "--proof id_token":             "lend: ",
		job + claims + "--proof api":                  "refuse: rule \"signed\"",
		job + claims + "--proof unverified":           "refuse: rule \"signed\"",
		job + "--user-access-level maintainer":        "environment_protected: ",
		job + claims + "--proof sworn":                "--proof is unverified, api or id_token",
		job + "--environment-protected --ci-config x": "user_access_levels: ",
	} {
		out, errs, _ := call(t, append([]string{"explain", "--config", file}, strings.Fields(args)...)...)
		if !strings.Contains(out+errs, want) {
			t.Errorf("%s: no %q in\n%s%s", args, want, out, errs)
		}
	}
}

func TestExplainVerifiesAPayloadsTokenWithCachedKeys(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	oidc := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k1", Algorithm: "RS256"}}}
	asked := 0
	gitlab := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("Content-Type", "application/json")
		oidc.ServeHTTP(w, r)
	}))
	defer gitlab.Close()
	oidc.SetIssuer(gitlab.URL)
	file, state := write(t, strings.Replace(good, "https://gitlab.example.com", gitlab.URL, 1)+signedRules)

	// A job of the past: its token has expired.
	token := oidctest.SignIDToken(key, "k1", "RS256", fmt.Sprintf(`{"iss":%q,"aud":"envrole","iat":%d,"exp":%d,
		"job_id":"9876543","pipeline_id":"6001","pipeline_source":"web","project_id":"150","project_path":"acme/platform/shop",
		"user_id":"42","user_login":"alice","user_access_level":"maintainer","ref":"main","ref_type":"branch","ref_protected":"true",
		"environment":"production","environment_protected":"true","ci_config_ref_uri":%q}`,
		gitlab.URL, time.Now().Add(-48*time.Hour).Unix(), time.Now().Add(-47*time.Hour).Unix(),
		strings.TrimPrefix(gitlab.URL, "http://")+"/acme/platform/shop//.gitlab-ci.yml@refs/heads/main"))
	payload := payloadWith(t, token)

	out, errs, code := call(t, "explain", "--config", file, "--job", payload)
	if code != exitFinding || !strings.Contains(out, `no signing key "k1" in this host's cache`) || asked > 0 {
		t.Errorf("without keys: %d, asked %d times\n%s%s", code, asked, out, errs)
	}
	warm(t, gitlab.URL, state, key)
	asked = 0
	out, errs, code = call(t, "explain", "--config", file, "--job", payload)
	if code != exitOK || !strings.HasPrefix(out, "lend") || !strings.Contains(out, `"maintainer"  (GitLab (ID token))`) || !strings.Contains(out, "Whether it is valid just now was not looked at") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	if asked > 0 || strings.Contains(out+errs, token[:20]) {
		t.Errorf("asked %d times, or the token is shown", asked)
	}
	out, _, code = call(t, "explain", "--config", file, "--job", payloadWith(t, ""))
	if code != exitFinding || !strings.Contains(out, "id_tokens:") {
		t.Errorf("without a token: %d\n%s", code, out)
	}
}

// warm fills the cache of keys, as a job before did.
func warm(t *testing.T, url, state string, key *rsa.PrivateKey) {
	t.Helper()
	client, err := proof.New(proof.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	v := idtoken.New(idtoken.Options{Issuer: url, Audience: "envrole", Dir: state, MaxAge: time.Hour, Timeout: time.Minute, GitLab: client})
	token := oidctest.SignIDToken(key, "k1", "RS256", fmt.Sprintf(`{"iss":%q,"aud":"envrole","job_id":"1"}`, url))
	_, err = v.Verify(t.Context(), idtoken.Subject{JobID: 1, ProjectID: 1}, []seal.Secret{seal.NewSecret(token)}, 0)
	if err == nil || !strings.Contains(err.Error(), "unexpected claims") {
		t.Fatal(err)
	}
}

// payloadWith is the production payload with a token among its variables.
func payloadWith(t *testing.T, token string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "executor", "job", "testdata", "honest_production.json"))
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if token != "" {
		m["variables"] = append(m["variables"].([]any), map[string]any{"key": "X", "value": token})
	}
	if b, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	if _, err := job.ParsePayload(strings.NewReader(string(b))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "job.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
