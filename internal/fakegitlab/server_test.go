package fakegitlab

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const token = "glcbt-66_Fak3J0bT0kenFak3J0b"

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func start(t *testing.T, opts Options, payloads ...string) (*Server, []Job) {
	t.Helper()
	s, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	var jobs []Job
	for _, p := range payloads {
		j, err := s.AddFromPayload(fixture(t, p+".job.json"), fixture(t, p+".allowed_agents.json"))
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, j)
	}
	return s, jobs
}

// client trusts the server's CA only and follows redirects as net/http does.
func client(s *Server) *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.CAPEM())
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
}

func get(t *testing.T, s *Server, path, tok string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("JOB-TOKEN", tok)
	resp, err := client(s).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

func generic(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %.100q", err, text)
	}
	return v
}

func TestAllowedAgentsHasTheShapeOfTheRealAnswers(t *testing.T) {
	for _, name := range []string{"production", "review_x_override", "no_environment"} {
		t.Run(name, func(t *testing.T) {
			s, jobs := start(t, Options{Prefix: "/gitlab/", TLS: true}, name)
			resp, body := get(t, s, "/api/v4/job/allowed_agents", jobs[0].Token)
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("%s, %s", resp.Status, body)
			}
			want := generic(t, fixture(t, name+".allowed_agents.json"))
			if have := generic(t, body); !reflect.DeepEqual(have, want) {
				t.Errorf("have %v\nwant %v", have, want)
			}
		})
	}
}

func TestEnvironmentsAreFilteredByExactName(t *testing.T) {
	s, jobs := start(t, Options{}, "production")
	s.AddEnvironment(150, Environment{Name: "review/x", Slug: "review-x-n5c54v", Tier: "development"})
	s.AddEnvironment(150, Environment{Name: "Production", Slug: "production-vl4voz"})
	for query, want := range map[string]string{
		"?name=production": "production", "?name=review%2Fx": "review/x", "?name=prod": "",
		// GitLab takes a blank name for no filter.
		"": "production,review/x,Production", "?name=": "production,review/x,Production",
	} {
		resp, body := get(t, s, "/api/v4/projects/150/environments"+query, jobs[0].Token)
		var records []map[string]any
		if err := json.Unmarshal(body, &records); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %v", query, resp.Status, err)
		}
		var names []string
		for _, r := range records {
			names = append(names, r["name"].(string))
			for _, key := range []string{"id", "slug", "state", "created_at"} {
				if r[key] == nil {
					t.Errorf("%s: no %s", query, key)
				}
			}
		}
		if have := strings.Join(names, ","); have != want {
			t.Errorf("%s: have %s, want %s", query, have, want)
		}
	}
}

func TestRefusalsAreGitLabs(t *testing.T) {
	s, _ := start(t, Options{Prefix: "/gitlab"}, "production", "no_environment")
	s.AddJob(Job{ID: 5, Token: "glcbt-ended", ProjectID: 150, Ended: true})
	for _, c := range []struct {
		path, token string
		status      int
		body        string
	}{
		{"/api/v4/job/allowed_agents", "wrong", 401, `{"message":"401 Unauthorized"}`},
		{"/api/v4/job/allowed_agents", "", 401, `{"message":"401 Unauthorized"}`},
		{"/api/v4/job/allowed_agents", "glcbt-ended", 401, `{"message":"401 Unauthorized"}`},
		{"/api/v4/projects/150/environments?name=x", "wrong", 401, `{"message":"401 Unauthorized"}`},
		{"/api/v4/projects/151/environments?name=x", token, 404, `{"message":"404 Project Not Found"}`},
		{"/api/v4/projects/150/environments?name=x&search=y", token, 400, ""},
		{"/api/v4/version", token, 404, ""},
		{"/../api/v4/job/allowed_agents", token, 404, ""},
	} {
		resp, body := get(t, s, c.path, c.token)
		if resp.StatusCode != c.status || c.body != "" && string(body) != c.body {
			t.Errorf("%s: %s %s", c.path, resp.Status, body)
		}
	}
}

func TestTheJournalKeepsNoToken(t *testing.T) {
	s, _ := start(t, Options{}, "production")
	get(t, s, "/api/v4/job/allowed_agents", token)
	get(t, s, "/api/v4/job/allowed_agents?job_token="+token, "wrong")
	if err := s.WaitFor(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	r := s.Requests()
	if !r[0].TokenRight || r[0].TokenInURL || r[1].TokenRight || !r[1].TokenInURL {
		t.Errorf("%+v", r)
	}
	text, err := json.Marshal(r)
	if err != nil || bytes.Contains(text, []byte(token)) {
		t.Errorf("the journal has the token: %s", text)
	}
}

func TestAJobThatEndsLosesItsToken(t *testing.T) {
	s, jobs := start(t, Options{}, "production")
	s.EndJob(jobs[0].ID)
	if resp, _ := get(t, s, "/api/v4/job/allowed_agents", token); resp.StatusCode != http.StatusUnauthorized {
		t.Error(resp.Status)
	}
}

func TestATokenBelongsToTheJobAddedLast(t *testing.T) {
	s, _ := start(t, Options{}, "production", "no_environment")
	if _, body := get(t, s, "/api/v4/job/allowed_agents", token); !strings.Contains(string(body), `"job":{"id":9876550}`) {
		t.Errorf("%s", body)
	}
	s.AddJob(Job{ID: 9876543, Token: token})
	if _, body := get(t, s, "/api/v4/job/allowed_agents", token); !strings.Contains(string(body), `"job":{"id":9876543}`) {
		t.Errorf("%s", body)
	}
}

func TestSlugIsGitLabs(t *testing.T) {
	for name, want := range map[string]string{
		"PRODUCTION": "production-vl4voz", "review/x": "review-x-n5c54v", "review/feature-1": "review-feature-1-1q251u",
		"prod/eu": "prod-eu-vyg7yo", "eu-west-1/prod": "eu-west-1-prod-ktqexe", "QA Env 2": "qa-env-2-bpqtks",
		"production-": "production", "production": "production", "$CI_JOB_NAME": "env-ci-job-name-mf25jj",
	} {
		if have := Slug(name); have != want {
			t.Errorf("%s: have %s, want %s", name, have, want)
		}
	}
}
