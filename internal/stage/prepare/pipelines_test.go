package prepare

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"envrole/executor/job"
	"envrole/internal/bases"
	"envrole/internal/fakegitlab"
	"envrole/internal/stage"
	"envrole/roles"
	"envrole/roles/settings"
)

// These tests hold the table "Kinds of pipelines" of docs/security.md: each row
// is read, and each of its cells tried with the payload that it names.

const pipelineFiles = "../../../executor/job/testdata/pipelines"

// row is one row of the table.
type row struct {
	kind, facts, outcome, doors string
}

var backquoted = regexp.MustCompile("`([^`]*)`")

func quotedIn(s string) []string {
	var out []string
	for _, m := range backquoted.FindAllStringSubmatch(s, -1) {
		out = append(out, m[1])
	}
	return out
}

func rows(t *testing.T) []row {
	t.Helper()
	b, err := os.ReadFile("../../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(b), "\n## Kinds of pipelines\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var all []row
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) != 4 || strings.Contains(cells[0], "---") || !strings.Contains(cells[0], "(`") {
			continue
		}
		names := quotedIn(cells[0])
		all = append(all, row{names[len(names)-1], cells[1], strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3])})
	}
	return all
}

func TestEveryKindOfPipelineHasItsRow(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(pipelineFiles, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, r := range rows(t) {
		kinds[r.kind] = true
	}
	if len(files) < 25 || len(files) != len(kinds) {
		t.Errorf("%d payloads, %d rows", len(files), len(kinds))
	}
	for _, f := range files {
		if kind := strings.TrimSuffix(filepath.Base(f), ".json"); !kinds[kind] {
			t.Errorf("%s has no row", kind)
		}
	}
}

// provider is a GitLab with its API and its ID tokens.
type provider struct {
	t      *testing.T
	gitlab *fakegitlab.Server
	key    *rsa.PrivateKey

	withoutToken bool // jobs bring none
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	gitlab, err := fakegitlab.Start(fakegitlab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = gitlab.Close() })
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	oidc := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: "RS256"}}}
	oidc.SetIssuer(gitlab.URL())
	gitlab.SetPages(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		oidc.ServeHTTP(w, r)
	}))
	return &provider{t: t, gitlab: gitlab, key: key}
}

// logins are the users of the payloads.
func logins(id int64) string { return map[int64]string{42: "dana", 77: "eve", 88: "uma"}[id] }

// know makes GitLab know the payload's job, and gives the job's ID token.
func (p *provider) know(kind string, j *job.Payload) string {
	p.t.Helper()
	known := fakegitlab.Job{
		ID: j.ID, Token: j.Token.Reveal(), ProjectID: j.Job.ProjectID, PipelineID: j.Job.PipelineID,
		UserID: j.Job.UserID, Username: logins(j.Job.UserID),
	}
	path, project := j.Job.ProjectFullPath, fmt.Sprint(j.Job.ProjectID)
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": p.gitlab.URL(), "aud": "envrole", "iat": now, "exp": now + 3600,
		"job_id": fmt.Sprint(j.ID), "pipeline_id": fmt.Sprint(j.Job.PipelineID),
		"project_id": project, "project_path": path, "job_project_id": project, "job_project_path": path,
		"user_id": fmt.Sprint(j.Job.UserID), "user_login": logins(j.Job.UserID), "user_access_level": "developer",
		"ref": strings.TrimPrefix(j.Git.Ref, "refs/merge-requests/7/"), "ref_type": j.Git.RefType, "ref_protected": fmt.Sprint(*j.Git.Protected),
		"ci_config_ref_uri": strings.TrimPrefix(p.gitlab.URL(), "http://") + "/" + path + "//.gitlab-ci.yml@refs/heads/main",
	}
	for _, v := range j.Variables {
		if v.Key == "CI_PIPELINE_SOURCE" {
			claims["pipeline_source"] = v.Value
		}
		if v.Key == "CI_ENVIRONMENT_NAME" {
			known.Environment = &fakegitlab.JobEnvironment{Slug: "production", Tier: "production"}
			p.gitlab.AddEnvironment(j.Job.ProjectID, fakegitlab.Environment{Name: "production", Slug: "production", Tier: "production"})
			maps.Copy(claims, map[string]any{"environment": "production", "environment_protected": "true", "deployment_tier": "production"})
		}
	}
	if strings.Contains(kind, "fork") { // the token speaks of the fork
		claims["project_id"], claims["project_path"], claims["user_access_level"], claims["ref"] = "999", "eve/shop", "owner", "main"
	}
	p.gitlab.AddJob(known)
	raw, err := json.Marshal(claims)
	if err != nil {
		p.t.Fatal(err)
	}
	return oidctest.SignIDToken(p.key, "k", "RS256", string(raw))
}

// rule is the page's rule with keys added or replaced.
func rule(changes ...string) string {
	lines := []string{
		`name = "production deploys"`, `environments = ["production"]`, `projects = ["acme/platform/shop"]`,
		`role_arn = "arn:aws:iam::111122223333:role/deploy"`,
	}
	for _, c := range changes {
		key, _, _ := strings.Cut(c, " =")
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, key+" =") })
		lines = append(lines, c)
	}
	return "[[role]]\n" + strings.Join(lines, "\n") + "\n"
}

// decide runs the payload of a kind through the stage, under a proof and a rule.
func (p *provider) decide(kind, proof, rules string) (roles.Decision, roles.Facts, error) {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(pipelineFiles, kind+".json"))
	if err != nil {
		p.t.Fatal(err)
	}
	read, err := job.ParsePayload(bytes.NewReader(b))
	if err != nil {
		p.t.Fatal(err)
	}
	token := p.know(kind, read)
	m := map[string]any{}
	if err := json.Unmarshal(b, &m); err != nil {
		p.t.Fatal(err)
	}
	if !p.withoutToken {
		m["variables"] = append(m["variables"].([]any), map[string]any{"key": "ID", "value": token})
	}
	if b, err = json.Marshal(m); err != nil {
		p.t.Fatal(err)
	}
	conf, err := settings.Parse("f", fmt.Appendf(nil, "[gitlab]\nurl = %q\nproof = %q\n[aws]\nregion = \"eu-central-1\"\n[state]\ndir = %q\n%s",
		p.gitlab.URL(), proof, p.t.TempDir(), rules), bases.Lean().Tables())
	if err != nil {
		p.t.Fatalf("%s: %v", kind, err)
	}
	var out bytes.Buffer
	s := &preparation{call: stage.Call{Stdout: &out, Stderr: &out}, conf: conf}
	if s.payload, err = job.ParsePayload(bytes.NewReader(b)); err != nil {
		p.t.Fatal(err)
	}
	// The address of the payloads' GitLab is not the stand-in's.
	if s.facts, err = s.payload.Facts(job.FactOptions{GitLabURL: "https://gitlab.example.com"}); err != nil {
		p.t.Fatal(err)
	}
	d, err := s.decide(p.t.Context())
	return d, s.facts, err
}

func TestEachRowOfKindsOfPipelinesIsTrue(t *testing.T) {
	p := newProvider(t)
	for _, r := range rows(t) {
		t.Run(r.kind, func(t *testing.T) {
			p.t = t
			for _, proof := range []string{settings.ProofAPI, settings.ProofIDToken} {
				d, _, err := p.decide(r.kind, proof, rule())
				if err != nil {
					t.Fatalf("%s: %v", proof, err)
				}
				lends := d.Outcome == roles.Lend
				if lends != (r.outcome == "lent") {
					t.Fatalf("%s: %s: %s", proof, d.Outcome, d.Why)
				}
				if key, ok := strings.CutPrefix(r.outcome, "none: "); !lends && (!ok || d.Trail[0].Failed.Key() != strings.Trim(key, "`")) {
					t.Errorf("%s: %s failed, the page says %s", proof, d.Trail[0].Failed.Key(), r.outcome)
				}
				p.doors(r, proof, lends)
			}
			p.facts(r)
		})
	}
}

// doors tries what opens or closes a row's default.
func (p *provider) doors(r row, proof string, lends bool) {
	p.t.Helper()
	tried := 0
	for door := range strings.SplitSeq(r.doors, "; ") {
		changes := quotedIn(door)
		if len(changes) == 0 {
			continue
		}
		tried++
		if closes := strings.HasPrefix(door, "closes: "); closes != lends || !closes && !strings.HasPrefix(door, "opens: ") {
			p.t.Errorf("%q where the default is %q", door, r.outcome)
		}
		d, _, err := p.decide(r.kind, proof, rule(changes...))
		if err != nil || (d.Outcome == roles.Lend) == lends {
			p.t.Errorf("%s: %s changes nothing: %s %v", proof, door, d.Why, err)
		}
		// Each part is needed.
		for i := range changes {
			if len(changes) == 1 {
				break
			}
			fewer := append(append([]string{}, changes[:i]...), changes[i+1:]...)
			if d, _, err := p.decide(r.kind, proof, rule(fewer...)); err == nil && d.Outcome == roles.Lend {
				p.t.Errorf("%s: %s alone is enough", proof, fewer)
			}
		}
	}
	if tried == 0 && r.doors != "nothing opens it" {
		p.t.Errorf("nothing to try in %q", r.doors)
	}
}

// facts compares a row's name=value pairs with those of a rule that asks for
// nothing but the environment.
func (p *provider) facts(r row) {
	p.t.Helper()
	_, f, err := p.decide(r.kind, settings.ProofIDToken, rule(`projects = ["*"]`, "ref_protected = false", "merge_requests = true"))
	if err != nil {
		p.t.Fatal(err)
	}
	known := map[string]string{}
	for _, v := range f.View() {
		known[v.Name] = v.Value
	}
	tried := 0
	for _, pair := range quotedIn(r.facts) {
		name, want, ok := strings.Cut(pair, "=")
		if !ok {
			continue
		}
		tried++
		got, there := known[name]
		if got == "" {
			got = "-"
		}
		if !there || got != want {
			p.t.Errorf("%s is %q, the page says %q", name, got, want)
		}
	}
	if tried == 0 {
		p.t.Error("no fact in the row")
	}
}
