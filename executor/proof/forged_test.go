package proof

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"envrole/executor/job"
	"envrole/roles"
	"envrole/roles/fault"
)

// The payloads and answers as GitLab's own code builds them.
func TestRecordedJobsGetTheirOwnEnvironmentOrNone(t *testing.T) {
	for _, c := range []struct{ file, env, tier, stops, says string }{
		{"honest_production", "production", "production", "", ""},
		{"honest_without_environment", "", "", "", ""},
		{"review_with_claimed_tier", "review/x", "development", "", ""}, // stored, not claimed
		{"review_overridden_by_variable", "", "", "lint", `to "review/x" and to "production"`},
		{"environment_named_dollar_variable", "", "", "lint", `"env-ci-job-name-mf25jj", which is not the slug`},
		{"name_without_environment", "", "", "proof", `claims environment "production", but GitLab says that job 9876544 has no environment`},
		{"name_hoisted_by_job_name", "", "", "proof", `claims environment "production", but GitLab says that job 9876545 has no environment`},
	} {
		t.Run(c.file, func(t *testing.T) {
			said, err := os.ReadFile(filepath.Join("testdata", c.file+".json"))
			if err != nil {
				t.Fatal(err)
			}
			s := serve(t, &fakeGitLab{jobToken: token, answer: string(said), envs: stored, project: 150})
			f, stopped, err := judged(t, client(t, Options{URL: s.URL}), edited(t, c.file+".json", nil), "https://gitlab.example.com")
			if f.Environment.Value != c.env || f.Tier.Value != c.tier || stopped != c.stops {
				t.Errorf("environment %q, tier %q, stopped at %q", f.Environment.Value, f.Tier.Value, stopped)
			}
			if (err != nil) != (c.stops != "") || (err != nil && (!strings.Contains(err.Error(), c.says) || fault.ClassOf(err) != fault.Refused)) {
				t.Errorf("%v, want %s", err, c.says)
			}
		})
	}
}

func TestPayloadOfAnOldRunnerIsFilledUpByGitLab(t *testing.T) {
	p := edited(t, "runner_17.json", nil)
	g := forJob(p, "production")
	g.answer = answer(900100, 4242, 7001, 33, recordOf("production"))
	s := serve(t, g)
	f, _, err := judged(t, client(t, Options{URL: s.URL}), p, "http://127.0.0.1")
	if err != nil || f.PipelineID != 7001 || f.UserID != 33 || f.ProjectPath.Value != "acme/shop/web" ||
		f.Environment != (roles.Fact{Value: "production", From: roles.GitLabAPI}) ||
		f.UserLogin != (roles.Fact{Value: "alice", From: roles.GitLabAPI}) {
		t.Errorf("%+v, %v", f, err)
	}
}

// set replaces every variable that the pairs name, and adds each pair.
func set(pairs ...string) func(m map[string]any) {
	return func(m map[string]any) {
		list, _ := m["variables"].([]any)
		var kept []any
		for _, v := range list {
			o, _ := v.(map[string]any)
			replaced := false
			for i := 0; i < len(pairs); i += 2 {
				replaced = replaced || o["key"] == pairs[i]
			}
			if !replaced {
				kept = append(kept, v)
			}
		}
		for i := 0; i < len(pairs); i += 2 {
			kept = append(kept, map[string]any{"key": pairs[i], "value": pairs[i+1]})
		}
		m["variables"] = kept
	}
}

const (
	name = "CI_ENVIRONMENT_NAME"
	slug = "CI_ENVIRONMENT_SLUG"
	tier = "CI_ENVIRONMENT_TIER"
)

// Each job really has the environment in real ("" for none) and says something
// else.
func TestForgedClaimsAreRefused(t *testing.T) {
	long := strings.Repeat("production/", 28)
	for _, c := range []struct {
		what, real    string
		change        func(m map[string]any)
		stops, reason string
	}{
		{"all variables forged, no environment", "", set(name, "production", slug, "production", tier, "production", "CI_ENVIRONMENT_ID", "501", "CI_ENVIRONMENT_ACTION", "start", "CI_COMMIT_REF_PROTECTED", "true"), "proof", "has no environment"},
		{"all variables forged, other environment", "review/x", set(name, "production", slug, "production", tier, "production"), "proof", `claims environment slug "production", but GitLab says that its environment has slug "review-x-n5c54v"`},
		{"name forged, slug left out", "review/x", set(name, "production", slug, ""), "proof", `"production", whose slug is "production", but GitLab says that the job's environment has slug "review-x-n5c54v"`},
		{"equal duplicates, other environment", "review/x", set(name, "production", name, "production", slug, "production", slug, "production"), "proof", "review-x-n5c54v"},
		{"differing duplicates", "review/x", set(name, "review/x", name, "production", slug, "review-x-n5c54v"), "lint", "more than once"},
		{"differing duplicates, forged one first", "review/x", set(name, "production", name, "review/x", slug, "review-x-n5c54v"), "lint", "more than once"},
		{"slug forged to match", "review/x", set(name, "production", slug, "production"), "proof", "review-x-n5c54v"},
		{"name forged, own slug", "review/x", set(name, "production", slug, "review-x-n5c54v"), "lint", "not the slug"},
		{"other case that exists", "review/x", set(name, "PRODUCTION", slug, "production-vl4voz"), "proof", "review-x-n5c54v"},
		{"other case of the own environment", "production", set(name, "Production", slug, ""), "proof", `has none of that name`},
		{"capitals of the own environment", "production", set(name, "PRODUCTION", slug, ""), "proof", `whose slug is "production-vl4voz"`},
		{"look-alike letters", "review/x", set(name, "prоduction", slug, ""), "proof", `"pr\u043eduction"`},
		{"invisible characters", "review/x", set(name, "production\u200b", slug, ""), "proof", `"production\u200b"`},
		{"trailing space", "review/x", set(name, "production ", slug, ""), "proof", `"production "`},
		{"leading space", "production", set(name, " production", slug, ""), "proof", "has none of that name"},
		{"blank name", "production", set(name, "   ", slug, ""), "proof", "environments for the one name"},
		{"variable as a name", "review/x", set(name, "$TARGET", slug, ""), "proof", `"$TARGET"`},
		{"environment named by a variable, claimed expanded", "$CI_JOB_NAME", set(name, "production", slug, "production"), "proof", "env-ci-job-name-mf25jj"},
		{"wildcard", "review/x", set(name, "prod*", slug, ""), "proof", `"prod*"`},
		{"wildcard alone", "review/x", set(name, "*", slug, ""), "proof", "none of that name"},
		{"second parameter", "review/x", set(name, "x&name=production", slug, ""), "proof", `"x&name=production"`},
		{"fragment and path", "review/x", set(name, "production#/../../..", slug, ""), "proof", "none of that name"},
		{"escaped slash", "prod/eu", set(name, "prod%2feu", slug, ""), "proof", `"prod%2feu"`},
		{"plus for a space", "review/x", set(name, "a+b", slug, ""), "proof", `"a+b"`},
		{"slash at the end", "production", set(name, "production/", slug, ""), "proof", "none of that name"},
		{"shares a slug", "production", set(name, "production-", slug, "production"), "proof", "none of that name"},
		{"newline", "review/x", set(name, "production\n", slug, ""), "lint", "control character"},
		{"NUL", "review/x", set(name, "production\x00", slug, ""), "lint", "control character"},
		{"header injection", "review/x", set(name, "x\r\nJOB-TOKEN: y", slug, ""), "lint", "control character"},
		{"300 characters", "review/x", set(name, long, slug, ""), "lint", "GitLab allows 255"},
		{"environment deleted or renamed", "review/x", set(name, "review/old", slug, ""), "proof", "none of that name"},
		{"the token as a name", "review/x", set(name, token, slug, ""), "proof", `"[redacted]"`},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := edited(t, "honest_production.json", c.change)
			s := serve(t, forJob(p, c.real))
			f, stopped, err := judged(t, client(t, Options{URL: s.URL}), p, "https://gitlab.example.com")
			if err == nil || f.Environment.Known() || stopped != c.stops {
				t.Fatalf("environment %+v, stopped at %q: %v", f.Environment, stopped, err)
			}
			if !strings.Contains(err.Error(), c.reason) || fault.ClassOf(err) != fault.Refused || fault.HelpOf(err) == "" {
				t.Errorf("%s: %v", fault.ClassOf(err), err)
			}
			if strings.Contains(err.Error(), token) || strings.ContainsAny(err.Error(), "\n\r\x00\u200b") {
				t.Errorf("unsafe to print: %q", err)
			}
		})
	}
}

// The token decides whose answer it is; the payload's ids are only compared.
func TestAnswerAboutAnotherJobIsRefusedWithBothIDs(t *testing.T) {
	env := recordOf("production")
	for want, said := range map[string]string{
		"names job 9876543, but GitLab says that its token belongs to job 9876599": answer(9876599, 150, 6001, 42, env),
		"names project 150, but GitLab says that its token belongs to project 151": answer(9876543, 151, 6001, 42, env),
		"names pipeline 6001, but GitLab says":                                     answer(9876543, 150, 6002, 42, env),
		"names user 42, but GitLab says that its token belongs to user 77":         answer(9876543, 150, 6001, 77, env),
	} {
		g := production()
		g.answer = said
		p, err := client(t, Options{URL: serve(t, g).URL}).Prove(t.Context(), subject())
		if err == nil || !strings.Contains(err.Error(), want) || fault.ClassOf(err) != fault.Refused || p.Environment != "" || p.Calls != 1 {
			t.Errorf("%+v, %v, want %s", p, err, want)
		}
	}
}

func TestTokenOfAnotherJobProvesNothingForThisOne(t *testing.T) {
	p := edited(t, "name_without_environment.json", func(m map[string]any) { m["token"] = "glcbt-66_0therJ0bsT0ken" })
	g := production() // the other job's answer
	g.jobToken = "glcbt-66_0therJ0bsT0ken"
	_, stopped, err := judged(t, client(t, Options{URL: serve(t, g).URL}), p, "https://gitlab.example.com")
	if stopped != "proof" || !strings.Contains(err.Error(), "names job 9876544, but GitLab says that its token belongs to job 9876543") {
		t.Errorf("%q, %v", stopped, err)
	}
}

// Property: whatever an author writes into the variables, a job is proven to
// have its real environment or none at all.
func TestNoEditOfVariablesChangesTheProvenEnvironment(t *testing.T) {
	g := production()
	s := serve(t, g)
	c := client(t, Options{URL: s.URL})
	names := []string{"", "production", "review/x", "$CI_JOB_NAME", "PRODUCTION", "prod/eu", "prod*", "production ", "x&name=production", "prоduction"}
	slugs := []string{"", "production", "review-x-n5c54v", "env-ci-job-name-mf25jj", "production-vl4voz", "prod-eu-vyg7yo"}
	keys := []string{name, slug, tier, "CI_ENVIRONMENT_ID", "CI_PROJECT_ID", "CI_JOB_ID", "CI_COMMIT_REF_PROTECTED"}
	base := edited(t, "honest_without_environment.json", nil)
	rapid.Check(t, func(t *rapid.T) {
		real := rapid.SampledFrom([]string{"", "production", "review/x", "$CI_JOB_NAME", "prod/eu"}).Draw(t, "real")
		g.mu.Lock()
		g.answer, g.requests = answer(base.ID, 150, 6001, 77, recordOf(real)), nil
		g.mu.Unlock()
		p := *base
		p.Variables = nil
		if r := recordOf(real); r != nil {
			p.Variables = []job.Variable{{Key: name, Value: r.Name}, {Key: slug, Value: r.Slug}}
		}
		for range rapid.IntRange(0, 4).Draw(t, "edits") {
			v := job.Variable{Key: rapid.SampledFrom(keys).Draw(t, "key")}
			if v.Key == slug {
				v.Value = rapid.SampledFrom(slugs).Draw(t, "slug")
			} else {
				v.Value = rapid.SampledFrom(names).Draw(t, "value")
			}
			at := rapid.IntRange(0, len(p.Variables)).Draw(t, "at")
			switch {
			case at < len(p.Variables) && rapid.Bool().Draw(t, "replace"):
				p.Variables[at] = v
			default:
				p.Variables = append(p.Variables[:at:at], append([]job.Variable{v}, p.Variables[at:]...)...)
			}
		}
		claims := p.Claims()
		if claims.Lint() != nil {
			return
		}
		proven, err := c.Prove(t.Context(), SubjectOf(&p, claims))
		if err == nil && (proven.Environment != real || real == "") {
			t.Fatalf("really %q, proven %+v with %v", real, proven, p.Variables)
		}
		if err != nil && proven.Environment != "" {
			t.Fatalf("refused, but %+v", proven)
		}
	})
}
