package proof

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"envrole/executor/job"
	"envrole/roles"
	"envrole/roles/fault"
)

// scripted gives one fixed answer to each of the two questions.
func scripted(t *testing.T, first, second string) *Client {
	t.Helper()
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		text := second
		if strings.HasSuffix(r.URL.Path, "/allowed_agents") {
			text = first
		}
		_, _ = w.Write([]byte(text))
	}))
	return client(t, Options{URL: s.URL})
}

const (
	goodJob = `{"job":{"id":9876543},"pipeline":{"id":6001},"project":{"id":150},"user":{"id":42,"username":"alice"},` +
		`"environment":{"slug":"production","tier":"production"}}`
	goodEnvironments = `[{"id":501,"name":"production","slug":"production","tier":"production"}]`
)

func replaced(text, from, to string) string { return strings.Replace(text, from, to, 1) }

func TestPinnedShapesAreUnderstood(t *testing.T) {
	for what, c := range map[string]struct{ first, second, tier string }{
		"as recorded":              {goodJob, goodEnvironments, "production"},
		"fields of the future":     {replaced(goodJob, `"job":{`, `"new":[1],"job":{"state":"running",`), replaced(goodEnvironments, `"id"`, `"new":{},"id"`), "production"},
		"no tier in the first":     {replaced(goodJob, `,"tier":"production"`, ``), goodEnvironments, "production"},
		"no tier in the second":    {goodJob, replaced(goodEnvironments, `,"tier":"production"`, ``), "production"},
		"no tier at all":           {replaced(goodJob, `"tier":"production"`, `"tier":null`), replaced(goodEnvironments, `,"tier":"production"`, `,"tier":null`), ""},
		"white space and a stop":   {goodJob + "\n", " \n" + replaced(goodEnvironments, `"id"`, `"state":"stopping","id"`), "production"},
		"ids beyond 32 bits exist": {goodJob, replaced(goodEnvironments, "501", "9007199254740993"), "production"},
	} {
		p, err := scripted(t, c.first, c.second).Prove(t.Context(), subject())
		want := Proof{Environment: "production", Slug: "production", Tier: c.tier, UserLogin: "alice", UserID: 42, PipelineID: 6001, Calls: 2}
		if err != nil || p != want {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
	}
}

func TestOtherShapesAreRefusedAndTheExpectedOneIsSaid(t *testing.T) {
	type pair struct{ text, says string }
	edit := func(from, to, says string) pair { return pair{replaced(goodJob, from, to), says} }
	for _, c := range []pair{
		{``, "not valid JSON"},
		{`null`, "not a JSON object"},
		{`[]`, "not a JSON object"},
		{`{}`, "missing"},
		{`"ok"`, "not a JSON object"},
		{goodJob + goodJob, "not valid JSON"},
		{goodJob + "x", "not valid JSON"},
		{goodJob[:len(goodJob)-1], "not valid JSON"},
		edit(`"job":{"id":9876543}`, `"job":null`, "job: "), edit(`"job":{"id":9876543},`, ``, "job: missing"),
		edit(`9876543`, `"9876543"`, "job.id: not an integer"), edit(`9876543`, `9876543.0`, "job.id: not an integer"),
		edit(`9876543`, `9.876543e6`, "job.id: not an integer"), edit(`{"id":9876543}`, `{"ID":9876543}`, "job.id: missing"),
		edit(`{"id":9876543}`, `{"id":1,"id":9876543}`, "same key stands twice"), edit(`{"id":9876543}`, `[9876543]`, "job: not a JSON object"),
		edit(`"job":`, `"job":{"id":1},"job":`, "same key stands twice"),
		edit(`{"id":6001}`, `{"id":null}`, "pipeline.id"), edit(`{"id":150}`, `{}`, "project.id: missing"), edit(`"id":42`, `"id":0`, "user.id: not a positive number"),
		edit(`"username":"alice"`, `"username":""`, "user.username: empty"), edit(`"username":"alice"`, `"username":null`, "user.username: not a string"),
		edit(`,"username":"alice"`, ``, "user.username: missing"),
		edit(`{"slug":"production","tier":"production"}`, `null`, "environment: not a JSON object"),
		edit(`{"slug":"production","tier":"production"}`, `"production"`, "environment: not a JSON object"),
		edit(`{"slug":"production","tier":"production"}`, `{}`, "environment.slug: missing"),
		edit(`{"slug":"production","tier":"production"}`, `[{"slug":"production"}]`, "environment: not a JSON object"),
		edit(`"slug":"production"`, `"slug":null`, "environment.slug: not a string"), edit(`"slug":"production"`, `"slug":""`, "environment.slug: empty"),
		edit(`"slug":"production"`, `"slug":"production","slug":"x"`, "same key stands twice"),
		edit(`"slug":"production"`, `"slug":"production*"`, "environment.slug: not a slug"),
		edit(`"tier":"production"`, `"tier":"prod"`, "environment.tier: not one of"), edit(`"tier":"production"`, `"tier":0`, "environment.tier: not a string"),
	} {
		p, err := scripted(t, c.text, goodEnvironments).Prove(t.Context(), subject())
		refusedShape(t, c.text, p, err, c.says, "allowed_agents", `"environment" with "slug"`)
	}
	edit = func(from, to, says string) pair { return pair{replaced(goodEnvironments, from, to), says} }
	for _, c := range []pair{
		{``, "not valid JSON"},
		{`null`, "not a JSON array"},
		{goodEnvironments[1 : len(goodEnvironments)-1], "not a JSON array"},
		{`[null]`, "not a JSON object"},
		{`[[]]`, "not a JSON object"},
		{`["production"]`, "not a JSON object"},
		{`[{}]`, "id: missing"},
		{`[` + goodEnvironments[1:len(goodEnvironments)-1] + `,` + goodEnvironments[1:], "2 environments"},
		{`[{"id":1,"name":"other","slug":"other"},` + goodEnvironments[1:], "2 environments"},
		edit(`501`, `"501"`, "id: not an integer"), edit(`501`, `-1`, "id: not a positive"), edit(`"id":501,`, ``, "id: missing"),
		edit(`"name":"production"`, `"name":null`, "name: not a string"), edit(`"name":"production",`, ``, "name: missing"),
		edit(`"name":"production"`, `"name":"production","name":"production"`, "same key stands twice"),
		edit(`"name":"production"`, `"name":"Production"`, `about "Production"`), edit(`"name":"production"`, `"name":"production "`, `about "production "`),
		edit(`"name":"production"`, `"name":["production"]`, "name: not a string"),
		edit(`"slug":"production"`, `"slug":null`, "slug: not a string"), edit(`"slug":"production",`, ``, "slug: missing"),
		edit(`"tier":"production"`, `"tier":"gold"`, "tier: not one of"),
	} {
		p, err := scripted(t, goodJob, c.text).Prove(t.Context(), subject())
		refusedShape(t, c.text, p, err, c.says, "environments?name=", `"id", "name" and "slug"`)
	}
}

func refusedShape(t *testing.T, text string, p Proof, err error, says, endpoint, expected string) {
	t.Helper()
	switch {
	case err == nil || p.Environment != "":
		t.Errorf("%s: proven as %+v", text, p)
	case fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), endpoint):
		t.Errorf("%s: %v, want %s", text, err, says)
	case !strings.Contains(fault.HelpOf(err), expected):
		t.Errorf("%s: the help does not say what was expected: %s", text, fault.HelpOf(err))
	}
}

func TestTwoTiersThatDifferAreRefused(t *testing.T) {
	_, err := scripted(t, goodJob, replaced(goodEnvironments, `"tier":"production"`, `"tier":"development"`)).Prove(t.Context(), subject())
	if err == nil || !strings.Contains(err.Error(), "has tier development, and that the job's has tier production") {
		t.Errorf("%v", err)
	}
}

func TestApplyMarksGitLabsWordAndLeavesTheRest(t *testing.T) {
	known := roles.Facts{JobID: 1, ProjectID: 2, PipelineID: 3, UserID: 4, JobName: roles.Fact{Value: "deploy", From: roles.Author}}
	f := Apply(known, Proof{Environment: "production", Slug: "production", UserLogin: "alice", UserID: 40, PipelineID: 30})
	want := known
	want.Environment = roles.Fact{Value: "production", From: roles.GitLabAPI}
	want.EnvironmentSlug = roles.Fact{Value: "production", From: roles.GitLabAPI}
	want.UserLogin = roles.Fact{Value: "alice", From: roles.GitLabAPI}
	if f != want {
		t.Errorf("got  %+v\nwant %+v", f, want)
	}
}

// Whatever GitLab answers: no panic, and an environment only if it is the
// claimed one, with one slug on both sides.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(goodJob), []byte(goodEnvironments))
	f.Add([]byte(answer(9876543, 150, 6001, 42, nil)), []byte(`[]`))
	f.Add([]byte(`{"job":{}}`), []byte(`[{"id":1,"name":"production","slug":"other"}]`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		a, err := parseJobAnswer(first)
		if err != nil || a.matches(subject()) != nil {
			return
		}
		if !json.Valid(first) || a.jobID != 9876543 || a.projectID != 150 || a.slug != "production" {
			t.Errorf("%q passed as %+v", first, a)
		}
		e, err := parseEnvironments(second, "production")
		if err != nil {
			return
		}
		if _, err := e.matches(subject(), a); err == nil && (e.name != "production" || e.slug != "production") {
			t.Errorf("%q passed as %+v", second, e)
		}
	})
}

func TestSubjectIsTheLintedClaim(t *testing.T) {
	p := edited(t, "honest_production.json", nil)
	got, want := SubjectOf(p, p.Claims()), subject()
	if got.Token.Reveal() != token {
		t.Error("another token")
	}
	if got.Token = want.Token; got != want { // secrets do not compare
		t.Errorf("%+v", got)
	}
	if got := SubjectOf(p, (&job.Payload{}).Claims()); got.ClaimedName != "" {
		t.Errorf("%+v", got)
	}
}
