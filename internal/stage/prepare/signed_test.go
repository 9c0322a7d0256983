package prepare

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"pgregory.net/rapid"

	"envrole/internal/audit"
	"envrole/internal/bases"
	"envrole/internal/fakegitlab"
	"envrole/roles"
	"envrole/roles/settings"
)

// signedWorld is world with proof = "id_token", whose rules cannot rest on tiers.
func signedWorld(t *testing.T) (*provider, *settings.Settings, *audit.Log) {
	t.Helper()
	p := newProvider(t)
	text := strings.NewReplacer("\n\n[aws]", "\nproof = \"id_token\"\n\n[state]\ndir = \""+t.TempDir()+"\"\n\n[aws]", "tiers = [\"production\"]\n", "", "-{tier}", "").Replace(ruleFile)
	conf, err := settings.Parse("config.toml", fmt.Appendf(nil, text, p.gitlab.URL()), bases.Lean().Tables())
	if err != nil {
		t.Fatal(err)
	}
	events, err := audit.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = events.Close() })
	return p, conf, events
}

// signedFor is what deserved is where no tier is known.
func (g truth) signedFor() string {
	g.tier = "production"
	return strings.Replace(g.deserved(), "-production-150", "-150", 1)
}

// claimsOf are what GitLab signs for the payload's job, of which g is true.
func claimsOf(gitlab *fakegitlab.Server, m map[string]any, g truth) map[string]any {
	info := sub(m, "job_info")
	id := func(v any) string { return fmt.Sprintf("%.0f", v) }
	now := time.Now().Unix()
	c := map[string]any{
		"iss": gitlab.URL(), "aud": "envrole", "iat": now, "exp": now + 3600,
		"job_id": id(m["id"]), "pipeline_id": id(info["pipeline_id"]), "pipeline_source": "push",
		"project_id": id(info["project_id"]), "project_path": info["project_full_path"],
		"user_id": id(info["user_id"]), "user_login": g.user,
		"ref": g.ref, "ref_type": g.refType, "ref_protected": fmt.Sprint(g.protected),
	}
	if g.ref == "" || strings.HasPrefix(g.ref, "refs/merge-requests/") {
		c["ref"] = "source"
	}
	if g.environment != "" {
		maps.Copy(c, map[string]any{"environment": g.environment, "environment_protected": "false", "deployment_tier": g.tier})
	}
	return c
}

// forged are tokens that an author can come by, each better than the own one.
func forged(t *rapid.T, p *provider, lie map[string]any, evil *rsa.PrivateKey) string {
	c := maps.Clone(lie)
	key, kid := p.key, "k"
	switch rapid.IntRange(-2, 6).Draw(t, "forgery") {
	case -2, -1, 0: // another job's, honestly signed
		c["job_id"] = "1"
	case 1:
		key = evil
	case 2:
		key, kid = evil, "https://evil.example.com/jwks"
	case 3: // for somebody else
		c["aud"] = "sts.amazonaws.com"
	case 4:
		c["iss"], key = "https://evil.example.com", evil
	case 5: // expired
		c["exp"] = time.Now().Unix() - 3600
	case 6:
		raw, _ := json.Marshal(c)
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"k"}`)) + "." + base64.RawURLEncoding.EncodeToString(raw) + "."
	}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return oidctest.SignIDToken(key, kid, "RS256", string(raw))
}

// The property of decide_test.go, under ID tokens: whatever the author writes and
// whatever tokens they bring, the job gets the role of its real environment, and
// that only with its own token.
func TestNoTokenOfTheAuthorGetsAJobAnotherRole(t *testing.T) {
	p, conf, events := signedWorld(t)
	evil, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	bases := basePayloads(t)
	lent := 0
	rapid.Check(t, func(t *rapid.T) {
		m := copied(t, rapid.SampledFrom(bases).Draw(t, "base"))
		g := drawTruth(t)
		g.tell(p.gitlab, m)
		vars, _ := m["variables"].([]any)
		if rapid.Bool().Draw(t, "honest") {
			vars = honestVariables(g)
			sub(m, "job_info")["name"] = "deploy"
		}
		if rapid.Bool().Draw(t, "edited") {
			for range rapid.IntRange(1, 4).Draw(t, "edits") {
				vars = edit(t, m, vars, &g)
			}
		}
		own := claimsOf(p.gitlab, m, g)
		// What the author would have: all that they control fits together, and
		// only GitLab's word is missing.
		lie := g
		lie.environment = rapid.SampledFrom([]string{"production", "prod/eu", "review/x"}).Draw(t, "wanted")
		lie.slug, lie.user = fakegitlab.Slug(lie.environment), "alice"
		if rapid.Bool().Draw(t, "lies well") {
			vars = honestVariables(lie)
			sub(m, "job_info")["name"] = "deploy"
		}
		has := rapid.Bool().Draw(t, "has its own token")
		if has {
			raw, err := json.Marshal(own)
			if err != nil {
				t.Fatal(err)
			}
			vars = append(vars, variable("OWN", oidctest.SignIDToken(p.key, "k", "RS256", string(raw))))
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "forgeries") {
			vars = append([]any{variable(fmt.Sprintf("FORGED_%d", i), forged(t, p, claimsOf(p.gitlab, m, lie), evil))}, vars...)
		}
		m["variables"] = vars

		d, log, err := decided(t, conf, events, m)
		got := ""
		if d.Outcome == roles.Lend && err == nil {
			got = d.Grant.RoleARN
			lent++
		}
		if want := g.signedFor(); got != "" && (got != want || !has) {
			t.Fatalf("%+v deserves %q (own token: %t) and gets %q with %v", g, want, has, got, vars)
		}
		harmless(t, log)
	})
	if lent == 0 {
		t.Error("nobody got a role: the property was never put to the test")
	}
}
