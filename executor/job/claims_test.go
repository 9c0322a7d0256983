package job

import (
	"slices"
	"strings"
	"testing"

	"envrole/roles/fault"
)

const (
	envName = "CI_ENVIRONMENT_NAME"
	envSlug = "CI_ENVIRONMENT_SLUG"
)

func TestLintRefusesClaimsThatContradictThemselves(t *testing.T) {
	for _, c := range []struct {
		what string
		p    *Payload
		want string // in the error
	}{
		{"second name", vars(envName, "review/x", envSlug, "review-x-n5c54v", envName, "production"), `set more than once, to "review/x" and to "production"`},
		{"second name in front", vars(envName, "production", envName, "review/x", envSlug, "review-x-n5c54v"), envName + " is set more than once"},
		{"name emptied", vars(envName, "production", envSlug, "production", envName, ""), `to "production" and to ""`},
		{"case variant", vars(envName, "production", envName, "Production"), "set more than once"},
		{"trailing space", vars(envName, "production", envName, "production "), "set more than once"},
		{"second slug", vars(envName, "production", envSlug, "production", envSlug, "env-x-aaaaaa"), envSlug + " is set more than once"},
		{"slug without name", vars(envSlug, "production"), "there is no " + envName},
		{"slug with an empty name", vars(envSlug, "production", envName, ""), "there is no " + envName},
		{"slug of another name", vars(envName, "production", envSlug, "review-x-n5c54v"), "not the slug of that name"},
		{"environment named by a variable", vars(envName, "production", envSlug, "env-ci-job-name-mf25jj"), "not the slug of that name"},
		{"slug in capitals", vars(envName, "production", envSlug, "Production"), "not the slug of that name"},
		{"look-alike letter", vars(envName, "prоduction", envSlug, "production"), "not the slug of that name"},
		{"other case, plain slug", vars(envName, "PRODUCTION", envSlug, "production"), "not the slug of that name"},
		{"newline", vars(envName, "production\nstaging"), "control character"},
		{"NUL", vars(envName, "production\x00"), "control character"},
		{"escape sequence", vars(envName, "\x1b[2Kproduction"), "control character"},
		{"C1 control", vars(envName, "production\u0085"), "control character"},
		{"too long", vars(envName, strings.Repeat("p", 300)), "300 characters, GitLab allows 255"},
	} {
		err := c.p.Claims().Lint()
		if err == nil || fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.what, err, c.want)
			continue
		}
		help := fault.HelpOf(err)
		for _, place := range []string{"CI_ENVIRONMENT_", "Settings > CI/CD > Variables", "variables:", "dotenv", "pipeline"} {
			if !strings.Contains(help, place) {
				t.Errorf("%s: the help does not name %s", c.what, place)
			}
		}
		if strings.ContainsAny(err.Error(), "\n\x00\x1b\u0085") || len(err.Error()) > 1000 {
			t.Errorf("%s: the error can forge log lines: %q", c.what, err)
		}
		if c.p.Claims().Name() != "" {
			t.Errorf("%s: still claims %q", c.what, c.p.Claims().Name())
		}
	}
}

// What passes here is for GitLab to judge: a lint that refused it would either
// refuse honest jobs or give a false sense of proof.
func TestLintLetsConsistentClaimsPass(t *testing.T) {
	for _, c := range []struct {
		p          *Payload
		name, slug string
	}{
		{vars(), "", ""},
		{vars(envName, ""), "", ""},
		{vars(envName, "production", envSlug, "production"), "production", "production"},
		{vars(envName, "production", envName, "production", envSlug, "production", envSlug, "production"), "production", "production"},
		{vars(envName, "production"), "production", ""}, // whether there is an environment is GitLab's to say
		{vars(envName, "review/x", envSlug, "review-x-n5c54v"), "review/x", "review-x-n5c54v"},
		{vars(envName, "review/x", envSlug, "review-x-zzzzzz"), "review/x", "review-x-zzzzzz"}, // random suffix of a very old GitLab
		{vars(envName, strings.Repeat("p", 255)), strings.Repeat("p", 255), ""},
		{vars(envName, "prod*", "ci_environment_name", "production"), "prod*", ""},
		{vars(envName, "a&name=production"), "a&name=production", ""},
		{vars("CI_ENVIRONMENT_NAME ", "production"), "", ""},
	} {
		claims := c.p.Claims()
		if err := claims.Lint(); err != nil || claims.Name() != c.name || claims.Slug() != c.slug {
			t.Errorf("%v: %q %q %v", c.p.Variables, claims.Name(), claims.Slug(), err)
		}
	}
}

func TestEveryClaimedNameIsKnownToTheRules(t *testing.T) {
	got := vars(envName, "review/x", envName, "production", envName, "", envName, "review/x", "CI_ENVIRONMENT_TIER", "production").Claims()
	if !slices.Equal(got.Names, []string{"review/x", "production"}) || !slices.Equal(got.Tiers, []string{"production"}) || got.Slugs != nil {
		t.Errorf("%+v", got)
	}
}

func TestRecordedPayloadsAreLintedAsTheyShould(t *testing.T) {
	for file, want := range map[string]string{ // claimed name, "!" for a refusal
		"honest_production.json": "production", "honest_without_environment.json": "",
		"review_with_claimed_tier.json": "review/x", "runner_17.json": "production",
		"review_overridden_by_variable.json": "!", "environment_named_dollar_variable.json": "!",
		// only GitLab can tell these from honest ones:
		"name_without_environment.json": "production", "name_hoisted_by_job_name.json": "production",
	} {
		c := payload(t, file, nil).Claims()
		if err := c.Lint(); (err != nil) != (want == "!") || (err == nil && c.Name() != want) {
			t.Errorf("%s: %q, %v", file, c.Name(), err)
		}
	}
}

func TestManyClaimsAreReadInLinearTime(t *testing.T) {
	p := &Payload{}
	for i := range 100_000 { // comparing each with each would take minutes
		p.Variables = append(p.Variables, Variable{envName, strings.Repeat("x", i%7) + string(rune('0'+i))})
	}
	if p.Claims().Lint() == nil {
		t.Error("accepted")
	}
}
