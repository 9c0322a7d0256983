package proof

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"envrole/executor/job"
	"envrole/roles"
	"envrole/roles/seal"
)

const token = "glcbt-66_Fak3J0bT0kenFak3J0b" // of every payload in testdata but the captured one

// fakeGitLab answers the two questions as GitLab does, for one job.
type fakeGitLab struct {
	mu       sync.Mutex
	jobToken string
	answer   string   // to allowed_agents
	envs     []record // of the job's project
	project  int64
	requests []*http.Request
}

type record struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	Slug string `json:"slug"`
	Tier string `json:"tier,omitempty"`
}

// stored is what the project of the payloads has.
var stored = []record{
	{501, "production", "production", "production"},
	{502, "review/x", "review-x-n5c54v", "development"},
	{503, "$CI_JOB_NAME", "env-ci-job-name-mf25jj", "other"},
	{504, "PRODUCTION", "production-vl4voz", "production"},
	{505, "prod/eu", "prod-eu-vyg7yo", "production"},
}

// forJob makes GitLab know one job, whose real environment is env ("" none).
func forJob(p *job.Payload, env string) *fakeGitLab {
	g := &fakeGitLab{jobToken: p.Token.Reveal(), envs: stored, project: p.Job.ProjectID}
	g.answer = answer(p.ID, p.Job.ProjectID, 6001, 42, recordOf(env))
	return g
}

func recordOf(name string) *record {
	for _, r := range stored {
		if r.Name == name {
			return &r
		}
	}
	return nil
}

func answer(jobID, project, pipeline, user int64, env *record) string {
	s := fmt.Sprintf(`{"allowed_agents":[],"job":{"id":%d},"pipeline":{"id":%d},"project":{"id":%d,"groups":[{"id":25}]},`+
		`"user":{"id":%d,"username":"alice","roles_in_project":["developer"]}`, jobID, pipeline, project, user)
	if env != nil {
		s += fmt.Sprintf(`,"environment":{"tier":%q,"slug":%q}`, env.Tier, env.Slug)
	}
	return s + "}"
}

func (g *fakeGitLab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests = append(g.requests, r.Clone(r.Context()))
	if r.Header.Get("JOB-TOKEN") != g.jobToken {
		http.Error(w, `{"message":"401 Unauthorized"}`, http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case "/api/v4/job/allowed_agents":
		_, _ = w.Write([]byte(g.answer))
	case fmt.Sprintf("/api/v4/projects/%d/environments", g.project):
		found := []record{}
		for _, e := range g.envs {
			// GitLab leaves a blank name out of the question and gives them all.
			if name := r.URL.Query().Get("name"); e.Name == name || strings.TrimSpace(name) == "" {
				found = append(found, e)
			}
		}
		_ = json.NewEncoder(w).Encode(found)
	default:
		http.Error(w, `{"error":"404 Not Found"}`, http.StatusNotFound)
	}
}

func serve(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func client(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// subject is the production job of testdata.
func subject() Subject {
	return Subject{
		JobID: 9876543, ProjectID: 150, PipelineID: 6001, UserID: 42, Token: seal.NewSecret(token),
		ClaimedName: "production", ClaimedSlug: "production",
	}
}

func production() *fakeGitLab {
	return &fakeGitLab{
		jobToken: token, project: 150, envs: stored,
		answer: answer(9876543, 150, 6001, 42, recordOf("production")),
	}
}

// edited reads a payload of testdata with changes.
func edited(t testing.TB, file string, change func(m map[string]any)) *job.Payload {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "job", "testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(m)
	}
	if b, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	p, err := job.ParsePayload(strings.NewReader(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// judged takes a payload the whole way: facts, claims, lint, proof. It says
// where it stopped: "lint", "proof" or, with facts, "".
func judged(t testing.TB, c *Client, p *job.Payload, gitlabURL string) (f roles.Facts, stopped string, err error) {
	t.Helper()
	f, err = p.Facts(job.FactOptions{GitLabURL: gitlabURL})
	if err != nil {
		t.Fatal(err)
	}
	claims := p.Claims()
	if len(claims.Names) == 0 && len(claims.Slugs) == 0 {
		return f, "", nil // nothing claimed: nobody is asked
	}
	if err := claims.Lint(); err != nil {
		return roles.Facts{}, "lint", err
	}
	proven, err := c.Prove(t.Context(), SubjectOf(p, claims))
	if err != nil {
		return roles.Facts{}, "proof", err
	}
	return Apply(f, proven), "", nil
}

// quiet keeps a test server's complaints about failing handshakes out of the
// test's output.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
