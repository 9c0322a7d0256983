package idtoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"envrole/executor/proof"
	"envrole/roles/seal"
)

const audience = "https://envrole.example.com"

// provider is an OpenID Connect provider, made with a library, whose answers a
// test can replace.
type provider struct {
	t    testing.TB
	url  string
	oidc *oidctest.Server

	mu      sync.Mutex
	keys    map[string]crypto.Signer
	calls   map[string]int
	tokens  int // requests that carried a credential
	replace http.HandlerFunc
}

// newProvider starts one with the RSA key "first".
func newProvider(t testing.TB) *provider {
	t.Helper()
	p := &provider{t: t, keys: map[string]crypto.Signer{}, calls: map[string]int{}, oidc: &oidctest.Server{}}
	s := httptest.NewUnstartedServer(p)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	t.Cleanup(s.Close)
	p.url = s.URL
	p.oidc.SetIssuer(s.URL)
	p.publish("first", rsaKey(t, 2048), "RS256")
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.calls[r.URL.Path]++
	for _, h := range []string{"JOB-TOKEN", "PRIVATE-TOKEN", "Authorization"} {
		if r.Header.Get(h) != "" {
			p.tokens++
		}
	}
	replace := p.replace
	p.mu.Unlock()
	if replace != nil {
		replace(w, r)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.URL.Path == "/keys" {
		w.Header().Set("Content-Type", "application/json")
	}
	p.oidc.ServeHTTP(w, r)
}

// answer replaces every answer; nil is the provider's own again.
func (p *provider) answer(h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replace = h
}

func (p *provider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, c := range p.calls {
		n += c
	}
	return n
}

// publish adds a key.
func (p *provider) publish(id string, key crypto.Signer, alg string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys[id] = key
	p.oidc.PublicKeys = append(p.oidc.PublicKeys, oidctest.PublicKey{PublicKey: key.Public(), KeyID: id, Algorithm: alg})
}

// withdraw publishes no key but those added from now on.
func (p *provider) withdraw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.oidc.PublicKeys = nil
}

func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// claims are those of GitLab 18 for the job of subject.
func (p *provider) claims() map[string]any {
	now := time.Now().Unix()
	return map[string]any{
		"iss": p.url, "aud": audience, "sub": "project_path:acme/platform/shop:ref_type:branch:ref:main",
		"jti": "0c1c2a3b", "iat": now, "nbf": now - 5, "exp": now + 3600,
		"job_id": "9876543", "pipeline_id": "6001", "pipeline_source": "push",
		"project_id": "150", "project_path": "acme/platform/shop", "namespace_id": "25", "namespace_path": "acme/platform",
		"job_project_id": "150", "job_project_path": "acme/platform/shop", "job_namespace_id": "25",
		"user_id": "42", "user_login": "dana", "user_email": "dana@example.com", "user_access_level": "maintainer",
		"ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
		"environment": "production", "environment_protected": "true", "deployment_tier": "production", "environment_action": "start",
		"runner_id": 7, "runner_environment": "self-hosted", "sha": "b83d6e391c22777fca1ed3012fce84f633d7fed0",
		"ci_config_ref_uri": strings.TrimPrefix(p.url, "http://") + "/acme/platform/shop//.gitlab-ci.yml@refs/heads/main",
		"ci_config_sha":     "b83d6e391c22777fca1ed3012fce84f633d7fed0", "project_visibility": "private",
	}
}

// token signs the claims with changes; a nil change leaves the claim out.
func (p *provider) token(changes map[string]any) string {
	return p.signed("first", "RS256", changes)
}

func (p *provider) signed(keyID, alg string, changes map[string]any) string {
	p.t.Helper()
	c := p.claims()
	for k, v := range changes {
		if v == nil {
			delete(c, k)
			continue
		}
		c[k] = v
	}
	raw, err := json.Marshal(c)
	if err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	key := p.keys[keyID]
	p.mu.Unlock()
	return oidctest.SignIDToken(key, keyID, alg, string(raw))
}

// subject is the job of claims.
func subject() Subject {
	yes := true
	return Subject{
		JobID: 9876543, ProjectID: 150, PipelineID: 6001, UserID: 42,
		ProjectPath: "acme/platform/shop", Ref: "main", Protected: &yes, ClaimedName: "production",
	}
}

func secrets(tokens ...string) []seal.Secret {
	var out []seal.Secret
	for _, t := range tokens {
		out = append(out, seal.NewSecret(t))
	}
	return out
}

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// options are a verifier's, with a state directory of its own.
func (p *provider) options(dir string) (Options, *clock) {
	p.t.Helper()
	client, err := proof.New(proof.Options{URL: p.url, Timeout: 5 * time.Second})
	if err != nil {
		p.t.Fatal(err)
	}
	c := &clock{t: time.Now()}
	return Options{
		Issuer: p.url, Audience: audience, Dir: dir, MaxAge: time.Hour, Stale: 24 * time.Hour,
		Timeout: 20 * time.Second, GitLab: client, Now: c.now,
	}, c
}

func (p *provider) verifier() (*Verifier, *clock) {
	o, c := p.options(p.t.(interface{ TempDir() string }).TempDir())
	return New(o), c
}

func with(pairs ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}

func merged(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}
