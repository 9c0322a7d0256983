package job

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"envrole/roles"
)

const fuzzToken = "glcbt-66_Fak3J0bT0kenFak3J0b"

// Whatever the file holds: no panic, no token in an error or a fact, no
// environment out of a payload alone.
func FuzzReadPayload(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, file := range files {
		f.Add(small(f, file))
	}
	f.Add([]byte(`{"id":1,"token":"` + fuzzToken + `","token":"` + fuzzToken + `"}`))
	f.Add([]byte(`{"id":1,"token":"` + fuzzToken + `","job_info":{"project_id":1},"git_info":{"repo_url":"` + fuzzToken + `"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePayload(bytes.NewReader(b))
		if err != nil {
			withoutToken(t, err.Error())
			return
		}
		if p.ID <= 0 || p.Job.ProjectID <= 0 || p.Token.Empty() || p.Timeout < 0 {
			t.Errorf("accepted %+v", p)
		}
		if p.Token.Reveal() != fuzzToken {
			return
		}
		facts, err := p.Facts(FactOptions{GitLabURL: "https://gitlab.example.com", LegacyRefProtected: true})
		if facts.Environment.Known() || facts.EnvironmentSlug.Known() || facts.Tier.Known() || facts.UserLogin.Known() {
			t.Errorf("a payload proved %+v", facts)
		}
		withoutToken(t, fmt.Sprintf("%+v %+v %v", p, facts, err), fmt.Sprint(p.Claims().Lint()))
	})
}

func withoutToken(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(text, fuzzToken) {
			t.Errorf("the token is in %s", text)
		}
	}
}

// Whatever the variables claim: a name that passes the lint is the only one
// claimed, and an error is one line.
func FuzzClaims(f *testing.F) {
	f.Add("production", "production", "production", "production")
	f.Add("review/x", "production", "review-x-n5c54v", "")
	f.Add("production\x00", "", "", "")
	f.Add("\xff\xfe", "prоduction", "-", "\u202e")
	f.Fuzz(func(t *testing.T, name1, name2, slug1, slug2 string) {
		c := vars(envName, name1, envName, name2, envSlug, slug1, envSlug, slug2).Claims()
		if err := c.Lint(); err != nil {
			if strings.ContainsAny(err.Error(), "\n\r\x1b") || len(err.Error()) > 4000 || c.Name() != "" || c.Slug() != "" {
				t.Errorf("%q, still claims %q", err, c.Name())
			}
			return
		}
		if name1 != name2 || slug1 != slug2 || c.Name() != name1 || c.Slug() != slug1 {
			t.Errorf("passed as %q %q", c.Name(), c.Slug())
		}
		if slug1 != "" && !roles.SlugCouldBelong(name1, slug1) {
			t.Errorf("slug %q passed for %q", slug1, name1)
		}
	})
}

// small gives a payload without what is not read: the fuzzer is at a loss with
// long texts.
func small(f *testing.F, file string) []byte {
	f.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		f.Fatal(err)
	}
	list, _ := m["variables"].([]any)
	m["variables"] = slices.DeleteFunc(list, func(v any) bool {
		o, _ := v.(map[string]any)
		key, _ := o["key"].(string)
		return !read(key)
	})
	for _, k := range []string{"features", "steps", "image", "services", "hooks", "credentials", "cache"} {
		delete(m, k)
	}
	if b, err = json.Marshal(m); err != nil {
		f.Fatal(err)
	}
	return b
}
