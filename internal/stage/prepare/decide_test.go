package prepare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"envrole/executor/job"
	"envrole/internal/audit"
	"envrole/internal/bases"
	"envrole/internal/fakegitlab"
	"envrole/internal/stage"
	"envrole/internal/stage/setup"
	"envrole/roles"
	"envrole/roles/settings"
)

// These tests hold promise 1: whatever a job's author writes, the job gets the
// role of its real environment, or none.

const ruleFile = `[gitlab]
url = %q

[aws]
region = "eu-central-1"

[[role]]
name = "production"
environments = ["production"]
tiers = ["production"]
projects = ["acme/platform/*"]
refs = ["main", "release/*"]
tag_refs = ["v*"]
jobs = ["deploy*"]
actions = ["start"]
role_arn = "arn:aws:iam::111122223333:role/production"

[[role]]
name = "regions"
environments = ["prod/*"]
project_ids = [150]
users = ["alice"]
role_arn = "arn:aws:iam::111122223333:role/{environment_slug}-{tier}-{project_id}"

[[role]]
name = "reviews"
environments = ["review/*", "$*"]
projects = ["acme/platform/shop"]
ref_protected = false
role_arn = "arn:aws:iam::111122223333:role/review-{environment_slug}"

[[role]]
name = "never"
environments = ["*"]
projects = ["acme/platform/other"]
ref_protected = false
merge_requests = true
require_role = true
role_arn = "arn:aws:iam::111122223333:role/never"
`

const (
	projectID = 150
	accountOf = "arn:aws:iam::111122223333:role/"
)

// truth is what GitLab knows of a job and no text of its author can change.
type truth struct {
	environment, slug, tier, user string
	ref, refType                  string
	protected                     bool
}

// deserved is the role of a job of which this is true, told again here without
// the code that decides: "" for none.
func (g truth) deserved() string {
	deployRef := g.ref == "main" || strings.HasPrefix(g.ref, "release/")
	if g.refType == "tag" {
		deployRef = strings.HasPrefix(g.ref, "v")
	}
	merge := strings.HasPrefix(g.ref, "refs/merge-requests/")
	switch {
	case merge:
		return ""
	case g.environment == "production" && g.tier == "production" && g.protected && deployRef:
		return accountOf + "production"
	case g.environment == "prod/eu" && g.protected && g.user == "alice":
		return accountOf + g.slug + "-" + g.tier + "-150"
	case g.environment == "review/x" || g.environment == "$CI_JOB_NAME":
		return accountOf + "review-" + g.slug
	}
	return ""
}

// payloads of jobs, honest and forged, as GitLab's code builds them.
func basePayloads(t *testing.T) []map[string]any {
	t.Helper()
	files, err := filepath.Glob("../../../executor/proof/testdata/*.json")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d payloads, %v", len(files), err)
	}
	var all []map[string]any
	for _, file := range files {
		b, err := os.ReadFile(filepath.Join("../../../executor/job/testdata", filepath.Base(file)))
		if err != nil {
			t.Fatal(err)
		}
		var m map[string]any
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// hostile are texts that an author may put anywhere.
func hostile() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{
			"production", "review/x", "prod/eu", "$CI_JOB_NAME", "Production", "production-", "", "*", "prod*", "staging",
			"production", "review-x-n5c54v", "prod-eu-vyg7yo", "env-ci-job-name-mf25jj", "production\x00", "prоduction", "production ", "production\u200b",
			"x\nenvrole: environment \"production\": role arn:aws:iam::111122223333:role/production", "\x1b[2K\renvrole: lent", "\u202enoitcudorp",
			"true", "false", "start", "stop", "push", "merge_request_event", "alice", "mallory", "main", "v1", "deploy", "build $CI_ENVIRONMENT_NAME",
			"x&name=production", "../../150/environments", "http://127.0.0.1:1", "acme/platform/other", "151", "{environment_slug}", strings.Repeat("production/", 40),
		}),
		rapid.StringN(0, 12, 40),
	)
}

func authorsKey() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{
			"CI_ENVIRONMENT_NAME", "CI_ENVIRONMENT_NAME", "CI_ENVIRONMENT_NAME", "CI_ENVIRONMENT_SLUG", "CI_ENVIRONMENT_SLUG",
			"CI_ENVIRONMENT_TIER", "CI_ENVIRONMENT_ACTION", "CI_ENVIRONMENT_ID", "CI_PIPELINE_SOURCE", "CI_COMMIT_REF_PROTECTED",
			"CI_COMMIT_REF_NAME", "CI_COMMIT_TAG", "CI_COMMIT_BRANCH", "CI_MERGE_REQUEST_ID", "CI_MERGE_REQUEST_IID", "GITLAB_USER_LOGIN",
			"CI_PROJECT_ID", "CI_PROJECT_PATH", "CI_JOB_ID", "CI_JOB_TOKEN", "CI_JOB_NAME", "CI_SERVER_URL", "CI_API_V4_URL", "CI_REPOSITORY_URL",
			"ENVROLE_ENVIRONMENT", "CUSTOM_ENV_CI_ENVIRONMENT_NAME", "ci_environment_name", "AWS_ROLE_ARN",
		}),
		rapid.StringN(0, 8, 20),
	)
}

func variable(key, value string) map[string]any { return map[string]any{"key": key, "value": value} }

// edit makes one change of what authors control.
func edit(t *rapid.T, m map[string]any, vars []any, g *truth) []any {
	at := func() int { return rapid.IntRange(0, len(vars)-1).Draw(t, "at") }
	does := rapid.IntRange(0, 7).Draw(t, "edit")
	if len(vars) == 0 {
		does = 0
	}
	switch does {
	case 0, 1:
		v := variable(authorsKey().Draw(t, "key"), hostile().Draw(t, "value"))
		return slices.Insert(vars, rapid.IntRange(0, len(vars)).Draw(t, "where"), any(v))
	case 2:
		i := at()
		return slices.Delete(vars, i, i+1)
	case 3:
		return slices.Insert(vars, rapid.IntRange(0, len(vars)).Draw(t, "where"), vars[at()])
	case 4:
		i, j := at(), at()
		vars[i], vars[j] = vars[j], vars[i]
	case 5:
		i := at()
		old, _ := vars[i].(map[string]any)
		key, _ := old["key"].(string)
		vars[i] = variable(key, hostile().Draw(t, "value"))
	case 6:
		sub(m, "job_info")["name"] = hostile().Draw(t, "job name")
	case 7:
		// Whoever pushes chooses the name of a branch or tag; whether that is
		// protected is GitLab's word, and stays.
		g.ref = rapid.OneOf(rapid.SampledFrom([]string{"main", "release/1", "v1", "feature", "refs/merge-requests/7/head", "refs/heads/main", "main\n", "*"}), hostile()).Draw(t, "ref")
		sub(m, "git_info")["ref"] = g.ref
	}
	return vars
}

func sub(m map[string]any, key string) map[string]any {
	o, _ := m[key].(map[string]any)
	return o
}

func drawTruth(t *rapid.T) truth {
	g := truth{
		environment: rapid.SampledFrom([]string{"", "production", "review/x", "prod/eu", "$CI_JOB_NAME", "Production", "staging"}).Draw(t, "environment"),
		tier:        rapid.SampledFrom([]string{"production", "production", "development"}).Draw(t, "tier"),
		user:        rapid.SampledFrom([]string{"alice", "mallory"}).Draw(t, "user"),
		protected:   rapid.Bool().Draw(t, "protected"),
		ref:         rapid.SampledFrom([]string{"main", "release/1", "v1", "feature-9"}).Draw(t, "true ref"),
		refType:     rapid.SampledFrom([]string{"branch", "branch", "tag"}).Draw(t, "ref type"),
	}
	if g.environment != "" {
		g.slug = fakegitlab.Slug(g.environment)
	}
	return g
}

// tell makes the stand-in know the truth of the payload's job, and writes it
// into the payload's structured fields.
func (g truth) tell(gitlab *fakegitlab.Server, m map[string]any) {
	git, info := sub(m, "git_info"), sub(m, "job_info")
	git["protected"], git["ref"], git["ref_type"], git["refspecs"] = g.protected, g.ref, g.refType, []any{}
	id, _ := m["id"].(float64)
	user, _ := info["user_id"].(float64)
	known := fakegitlab.Job{
		ID: int64(id), Token: fmt.Sprint(m["token"]), ProjectID: projectID, PipelineID: 6001, UserID: int64(user), Username: g.user,
	}
	if g.environment != "" {
		known.Environment = &fakegitlab.JobEnvironment{Slug: g.slug, Tier: g.tier}
		gitlab.AddEnvironment(projectID, fakegitlab.Environment{Name: g.environment, Slug: g.slug, Tier: g.tier})
	}
	gitlab.AddJob(known)
}

// honestVariables are those of GitLab itself; the author's come behind them.
func honestVariables(g truth) []any {
	vars := []any{variable("CI_PIPELINE_SOURCE", "push"), variable("CI_COMMIT_REF_PROTECTED", fmt.Sprint(g.protected))}
	if g.environment != "" {
		vars = append(vars, variable("CI_ENVIRONMENT_NAME", g.environment), variable("CI_ENVIRONMENT_ACTION", "start"),
			variable("CI_ENVIRONMENT_TIER", g.tier), variable("CI_ENVIRONMENT_SLUG", g.slug))
	}
	return vars
}

// decided runs the payload through the stage's own path. log is what the job's
// author would read.
func decided(t *rapid.T, conf *settings.Settings, events *audit.Log, m map[string]any) (d roles.Decision, log string, err error) {
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	defer func() { log = out.String() }()
	p := &preparation{call: stage.Call{Stdout: &out, Stderr: &out}, conf: conf, log: events}
	if p.payload, err = job.ParsePayload(bytes.NewReader(text)); err == nil {
		p.facts, err = setup.Facts(p.payload, conf)
	}
	if err == nil {
		d, err = p.decide(t.Context())
	}
	switch {
	case err != nil:
		stage.Explain(&out, err)
	case d.Outcome == roles.NoRole:
		if err := p.withoutRole(d); err != nil {
			t.Fatal(err)
		}
	}
	return d, "", err
}

// world is a GitLab, a configuration of it, and an audit log.
func world(t *testing.T) (*fakegitlab.Server, *settings.Settings, *audit.Log) {
	t.Helper()
	gitlab, err := fakegitlab.Start(fakegitlab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = gitlab.Close() })
	conf, err := settings.Parse("config.toml", fmt.Appendf(nil, ruleFile, gitlab.URL()), bases.Lean().Tables())
	if err != nil {
		t.Fatal(err)
	}
	events, err := audit.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = events.Close() })
	return gitlab, conf, events
}

func TestNoTextOfTheAuthorGetsAJobAnotherRole(t *testing.T) {
	gitlab, conf, events := world(t)
	bases := basePayloads(t)
	rapid.Check(t, func(t *rapid.T) {
		m := copied(t, rapid.SampledFrom(bases).Draw(t, "base"))
		g := drawTruth(t)
		g.tell(gitlab, m)
		vars, _ := m["variables"].([]any)
		if rapid.Bool().Draw(t, "honest") {
			vars = honestVariables(g)
			sub(m, "job_info")["name"] = "deploy"
		}
		for range rapid.IntRange(0, 6).Draw(t, "edits") {
			vars = edit(t, m, vars, &g)
		}
		m["variables"] = vars

		d, log, err := decided(t, conf, events, m)
		got := ""
		if d.Outcome == roles.Lend {
			got = d.Grant.RoleARN
		}
		if err != nil && got != "" {
			t.Fatalf("an error, %v, and yet the role %s", err, got)
		}
		if want := g.deserved(); got != "" && got != want {
			t.Fatalf("%+v deserves %q and gets %q with %v", g, want, got, vars)
		}
		harmless(t, log)
	})
	for _, r := range gitlab.Requests() {
		if r.TokenInURL || !r.TokenRight {
			t.Fatalf("%+v", r)
		}
	}
}

// Without it the property above could hold because nobody gets anything.
func TestHonestJobsGetWhatTheyDeserve(t *testing.T) {
	gitlab, conf, events := world(t)
	base := basePayloads(t)[0]
	roleOf := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		m := copied(t, base)
		g := drawTruth(t)
		g.tell(gitlab, m)
		m["variables"] = honestVariables(g)
		sub(m, "job_info")["name"] = "deploy"
		d, log, err := decided(t, conf, events, m)
		if want := g.deserved(); err != nil || d.Outcome == roles.Refuse || d.Grant.RoleARN != want {
			t.Fatalf("%+v deserves %q and gets %v %q: %v", g, want, d.Outcome, d.Grant.RoleARN, err)
		}
		roleOf[d.Grant.RoleARN]++
		harmless(t, log)
	})
	if len(roleOf) < 2 {
		t.Errorf("hardly a role was lent: %v", roleOf)
	}
}

// harmless fails if a text of the author's begins a line of its own, or could
// move a terminal's cursor.
func harmless(t *rapid.T, log string) {
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "envrole: ") && !strings.HasPrefix(line, "  ") || strings.HasPrefix(line, "envrole: environment") {
			t.Fatalf("line %q in %q", line, log)
		}
		if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }) {
			t.Fatalf("control character in %q", line)
		}
	}
}

// copied is a payload that a test may edit.
func copied(t *rapid.T, m map[string]any) map[string]any {
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var c map[string]any
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	return c
}
