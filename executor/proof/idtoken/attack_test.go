package idtoken

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"github.com/go-jose/go-jose/v4"

	"envrole/roles/fault"
)

func TestAnHonestTokenProvesTheEnvironment(t *testing.T) {
	p := newProvider(t)
	p.publish("curve", ecKey(t), "ES256")
	v, _ := p.verifier()
	for name, token := range map[string]string{
		"RS256":            p.token(nil),
		"ES256":            p.signed("curve", "ES256", nil),
		"list of audience": p.token(with("aud", []string{audience})),
		"before GitLab 18": p.token(with("job_project_id", nil, "job_project_path", nil)),
		"no nbf":           p.token(with("nbf", nil)),
		"null level":       p.token(map[string]any{"user_access_level": json.RawMessage("null")}),
	} {
		got, err := v.Verify(t.Context(), subject(), secrets("eyJ.x.y", token), 0)
		if err != nil || got.Environment != "production" || got.EnvironmentProtected != "true" || got.UserLogin != "dana" ||
			got.Config != "acme/platform/shop//.gitlab-ci.yml@refs/heads/main" || got.Source != "push" || got.Stale || len(got.Warnings) > 0 {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	if p.tokens > 0 {
		t.Errorf("%d requests carried a credential", p.tokens)
	}
}

// Each row is a token that must not count, and a word of why.
func TestForgedTokensAreRefused(t *testing.T) {
	p := newProvider(t)
	other := rsaKey(t, 2048)
	now := time.Now().Unix()
	sign := func(key any, id, alg string, changes map[string]any) string {
		raw, err := json.Marshal(merged(p.claims(), changes))
		if err != nil {
			t.Fatal(err)
		}
		return oidctest.SignIDToken(key, id, alg, string(raw))
	}
	raw := func(header, claims string) string {
		return b64(header) + "." + b64(claims) + ".c2ln"
	}
	all, err := json.Marshal(p.claims())
	if err != nil {
		t.Fatal(err)
	}
	duplicated := strings.Replace(string(all), `"environment":"production"`, `"environment":"staging","environment":"production"`, 1)
	for _, c := range []struct{ name, token, says string }{
		{"alg none", b64(`{"alg":"none","typ":"JWT"}`) + "." + b64(string(all)) + ".", `algorithm "none"`},
		{"alg none with a key id", b64(`{"alg":"none","kid":"first"}`) + "." + b64(string(all)) + ".", `algorithm "none"`},
		{"no alg", raw(`{"kid":"first"}`, string(all)), "algorithm"},
		{"HS256 keyed with the public key", hs256(t, p, string(all)), `algorithm "HS256"`},
		{"RS512", sign(p.keys["first"], "first", "RS512", nil), `algorithm "RS512"`},
		{"PS256", sign(p.keys["first"], "first", "PS256", nil), `algorithm "PS256"`},
		{"another key under the same id", sign(other, "first", "RS256", nil), "signature"},
		{"another key in its own header", embedded(t, other, string(all)), "signature"},
		{"header names an address", jku(t, p, other, string(all)), "signature"},
		{"key id is an address", sign(other, "https://evil.example.com/keys", "RS256", nil), "no signing key"},
		{"key id is a file", sign(other, "../../../../etc/passwd", "RS256", nil), "no signing key"},
		{"no key id", sign(p.keys["first"], "", "RS256", nil), "which key"},
		{"another issuer", p.token(with("iss", "https://gitlab.example.com")), "has no ID token for EnvRole"},
		{"issuer with a slash", p.token(with("iss", p.url+"/")), "has no ID token for EnvRole"},
		{"no issuer", p.token(with("iss", nil)), "has no ID token for EnvRole"},
		{"another audience", p.token(with("aud", "sts.amazonaws.com")), `for "sts.amazonaws.com"`},
		{"two audiences", p.token(with("aud", []string{audience, "sts.amazonaws.com"})), "other audiences"},
		{"audience as object", p.token(with("aud", map[string]string{"a": audience})), "has no ID token for EnvRole"},
		{"another job", p.token(with("job_id", "9876542")), "belongs to job 9876542"},
		{"job id as number", p.token(with("job_id", 9876543)), "belongs to job 0"},
		{"job id with a sign", p.token(with("job_id", "+9876543")), "belongs to job 0"},
		{"no job", p.token(with("job_id", nil)), "belongs to job 0"},
		{"another project", p.token(with("job_project_id", "151")), "belongs to project 151"},
		{"a fork, before GitLab 18", p.token(with("job_project_id", nil, "project_id", "999")), "belongs to project 999"},
		{"another pipeline", p.token(with("pipeline_id", "6002")), "belongs to pipeline 6002"},
		{"another user", p.token(with("user_id", "43")), "belongs to user 43"},
		{"another project's path", p.token(with("job_project_path", "acme/platform/shop2")), "shop2"},
		{"another branch", p.token(with("ref", "feature")), `says "feature"`},
		{"a tag of the branch's name", p.token(with("ref_type", "tag")), "names ref"},
		{"not protected", p.token(with("ref_protected", "false")), "protected"},
		{"protected as a flag", p.token(with("ref_protected", true)), "ref_protected"},
		{"another environment", p.token(with("environment", "staging")), `its ID token says "staging"`},
		{"no environment", p.token(with("environment", nil, "environment_protected", nil)), "says that it has none"},
		{"expired", p.token(with("exp", now-60)), "expired 1m"},
		{"no end", p.token(with("exp", nil)), "exp"},
		{"end as text", p.token(with("exp", "9999999999")), "exp"},
		{"end as fraction", p.token(with("exp", 9999999999.5)), "exp"},
		{"from the future", p.token(with("nbf", now+120)), "is valid in"},
		{"issued in the future", p.token(with("iat", now+120)), "issued"},
		{"no time of issue", p.token(with("iat", nil)), "iat"},
		{"duplicate claims", sign2(p, duplicated), "twice"},
		{"claims changed after signing", tampered(p.token(with("environment", "staging"))), "signature"},
		{"signature cut", p.token(nil)[:len(p.token(nil))-4], "signature"},
		{"claims as list", raw(`{"alg":"RS256","kid":"first"}`, `[]`), "has no ID token for EnvRole"},
		{"environment as list", p.token(with("environment", []string{"production"})), "environment"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, _ := p.verifier()
			got, err := v.Verify(t.Context(), subject(), secrets(c.token), 0)
			if err == nil || fault.ClassOf(err) != fault.Refused || got.Environment != "" {
				t.Fatalf("%+v, %v", got, err)
			}
			if !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q does not say %q", err, c.says)
			}
			if fault.HelpOf(err) == "" {
				t.Error("no help")
			}
			for part := range strings.SplitSeq(c.token, ".") {
				if len(part) > 12 && strings.Contains(fmt.Sprint(err, fault.HelpOf(err)), part) {
					t.Error("the error repeats a part of the token")
				}
			}
		})
	}
}

func TestAnotherJobsTokenBesidesTheOwnOneDoesNoHarm(t *testing.T) {
	p := newProvider(t)
	v, _ := p.verifier()
	own := p.token(nil)
	for name, tokens := range map[string][]string{
		"another job's first":          {p.token(with("job_id", "1", "environment", "staging")), own},
		"one for AWS":                  {p.token(with("aud", "sts.amazonaws.com")), own},
		"an expired one of this job":   {p.token(with("exp", time.Now().Unix()-100)), own},
		"garbage":                      {"eyJ.!.x", "eyJhbGciOiJub25lIn0.e30.", own},
		"two that say the same":        {own, p.token(with("jti", "another", "iat", time.Now().Unix()-1))},
		"one with further audiences":   {p.token(with("aud", []string{audience, "x"})), own},
		"one of a key nobody has":      {oidctest.SignIDToken(rsaKey(t, 2048), "nobody's", "RS256", claimsText(t, p)), own},
		"own one, then the key's twin": {own, oidctest.SignIDToken(rsaKey(t, 2048), "first", "RS256", claimsText(t, p))},
	} {
		got, err := v.Verify(t.Context(), subject(), secrets(tokens...), 0)
		if err != nil || got.Environment != "production" {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
}

func TestTwoValidTokensThatContradictEachOtherAreRefused(t *testing.T) {
	p := newProvider(t)
	v, _ := p.verifier()
	_, err := v.Verify(t.Context(), subject(), secrets(p.token(nil), p.token(with("user_access_level", "owner"))), 0)
	if fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), "contradict") {
		t.Error(err)
	}
}

func TestAMissingTokenSaysWhatToAdd(t *testing.T) {
	p := newProvider(t)
	v, _ := p.verifier()
	_, err := v.Verify(t.Context(), subject(), nil, 2)
	for _, want := range []string{"id_tokens:\n", "aud: '" + audience + "'"} {
		if !strings.Contains(fault.HelpOf(err), want) {
			t.Errorf("help lacks %q:\n%s", want, fault.HelpOf(err))
		}
	}
	if fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), "2 more values were too long or too many") {
		t.Error(err)
	}
	if p.count() > 0 {
		t.Error("GitLab was asked")
	}
}

// A megabyte of claims is cut off where the payload is read; what reaches the
// verifier is bounded there. It must not choke on it all the same.
func TestManyClaims(t *testing.T) {
	p := newProvider(t)
	v, _ := p.verifier()
	_, err := v.Verify(t.Context(), subject(), secrets(p.token(with("user_identities", strings.Repeat("x", 1<<20)))), 0)
	if err != nil {
		t.Error(err)
	}
	deep := strings.Repeat("[", 1<<19) + strings.Repeat("]", 1<<19)
	_, err = v.Verify(t.Context(), subject(), secrets(b64(`{"alg":"RS256","kid":"first"}`)+"."+b64(`{"iss":`+deep+`}`)+".x"), 0)
	if fault.ClassOf(err) != fault.Refused {
		t.Error(err)
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func claimsText(t *testing.T, p *provider) string {
	t.Helper()
	raw, err := json.Marshal(p.claims())
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func sign2(p *provider, claims string) string {
	return oidctest.SignIDToken(p.keys["first"], "first", "RS256", claims)
}

// tampered puts other claims behind an honest header and signature.
func tampered(token string) string {
	parts := strings.Split(token, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
	parts[1] = b64(strings.Replace(string(raw), `"staging"`, `"production"`, 1))
	return strings.Join(parts, ".")
}

// hs256 signs with the published key's own text as the secret.
func hs256(t *testing.T, p *provider, claims string) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(p.keys["first"].Public())
	if err != nil {
		t.Fatal(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	return compact(t, jose.SigningKey{Algorithm: jose.HS256, Key: secret}, map[jose.HeaderKey]any{"kid": "first"}, claims)
}

// embedded brings its own key along, under the id of GitLab's.
func embedded(t *testing.T, key *rsa.PrivateKey, claims string) string {
	t.Helper()
	return compact(t, jose.SigningKey{Algorithm: jose.RS256, Key: key},
		map[jose.HeaderKey]any{"kid": "first", "jwk": jose.JSONWebKey{Key: key.Public(), KeyID: "first"}}, claims)
}

// jku names a place where its key could be had.
func jku(t *testing.T, p *provider, key *rsa.PrivateKey, claims string) string {
	t.Helper()
	return compact(t, jose.SigningKey{Algorithm: jose.RS256, Key: key},
		map[jose.HeaderKey]any{"kid": "first", "jku": p.url + "/evil", "x5u": p.url + "/evil"}, claims)
}

func compact(t *testing.T, key jose.SigningKey, header map[jose.HeaderKey]any, claims string) string {
	t.Helper()
	s, err := jose.NewSigner(key, &jose.SignerOptions{ExtraHeaders: maps.Clone(header)})
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	out, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}
