package idtoken

import (
	"strings"
	"testing"

	"envrole/roles"
	"envrole/roles/fault"
)

// payloadFacts is what the payload of subject says.
func payloadFacts() roles.Facts {
	return roles.Facts{
		JobID: 9876543, ProjectID: 150, PipelineID: 6001, UserID: 42,
		ProjectPath: roles.Fact{Value: "acme/platform/shop", From: roles.Payload},
		Ref:         roles.Fact{Value: "main", From: roles.Payload}, RefProtected: true,
		JobName: roles.Fact{Value: "deploy", From: roles.Author}, Action: roles.Fact{Value: "start", From: roles.Author},
		Source: roles.Fact{Value: "web", From: roles.Author}, // not what the token says
	}
}

func proven(t *testing.T, changes map[string]any, s Subject) Proof {
	t.Helper()
	p := newProvider(t)
	v, _ := p.verifier()
	got, err := v.Verify(t.Context(), s, secrets(p.token(changes)), 0)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestClaimsBecomeFactsWithTheirProvenance(t *testing.T) {
	f, err := Apply(payloadFacts(), proven(t, nil, subject()))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		got   roles.Fact
		value string
		from  roles.Provenance
	}{
		"environment":  {f.Environment, "production", roles.IDToken},
		"slug":         {f.EnvironmentSlug, "production", roles.IDToken},
		"protected":    {f.EnvironmentProtected, "true", roles.IDToken},
		"level":        {f.UserAccessLevel, "maintainer", roles.IDToken},
		"config":       {f.CIConfig, "acme/platform/shop//.gitlab-ci.yml@refs/heads/main", roles.IDToken},
		"user":         {f.UserLogin, "dana", roles.IDToken},
		"project":      {f.ProjectPath, "acme/platform/shop", roles.IDToken},
		"ref":          {f.Ref, "main", roles.IDToken},
		"source":       {f.Source, "push", roles.IDToken},
		"tier":         {f.Tier, "production", roles.Author}, // deployment_tier repeats the YAML
		"action":       {f.Action, "start", roles.Author},
		"name of job":  {f.JobName, "deploy", roles.Author},
		"ids (in all)": {roles.Fact{From: f.IDsFrom}, "", roles.IDToken},
	} {
		if c.got.Value != c.value || c.got.From != c.from {
			t.Errorf("%s: %+v", name, c.got)
		}
	}
}

func TestBothProofsCheckEachOther(t *testing.T) {
	api := payloadFacts()
	api.Environment = roles.Fact{Value: "production", From: roles.GitLabAPI}
	api.EnvironmentSlug = roles.Fact{Value: "production-old123", From: roles.GitLabAPI}
	api.Tier = roles.Fact{Value: "development", From: roles.GitLabAPI}
	api.UserLogin = roles.Fact{Value: "dana", From: roles.GitLabAPI}
	p := proven(t, nil, subject())
	f, err := Apply(api, p)
	if err != nil || f.Environment.From != roles.IDTokenAndAPI || f.UserLogin.From != roles.IDTokenAndAPI ||
		f.Tier != api.Tier || f.EnvironmentSlug != api.EnvironmentSlug {
		t.Errorf("%+v %v", f, err)
	}
	for name, change := range map[string]func(*roles.Facts){
		"environment": func(f *roles.Facts) { f.Environment.Value = "staging" },
		"user":        func(f *roles.Facts) { f.UserLogin.Value = "eve" },
	} {
		f := api
		change(&f)
		if _, err := Apply(f, p); fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An environment of a very old GitLab has a slug that its name does not give.
func TestASlugThatIsNotSureIsNone(t *testing.T) {
	for claimed, want := range map[string]roles.Fact{
		"":                {Value: "review-x-n5c54v", From: roles.IDToken},
		"review-x-n5c54v": {Value: "review-x-n5c54v", From: roles.IDToken},
		"review-x-abc123": {},
	} {
		s := subject()
		s.ClaimedName, s.ClaimedSlug = "review/x", claimed
		f, err := Apply(payloadFacts(), proven(t, with("environment", "review/x"), s))
		if err != nil || f.EnvironmentSlug != want {
			t.Errorf("%q: %+v %v", claimed, f.EnvironmentSlug, err)
		}
	}
}

// In a fork's merge request, run in the parent: the user's level is the one in
// the fork, and the configuration's ref is a branch of the fork under the
// parent's name. Neither may become a fact.
func TestAForksTokenSaysLittle(t *testing.T) {
	no := false
	s := subject()
	s.Ref, s.Protected = "refs/merge-requests/7/head", &no
	p := proven(t, with("project_id", "999", "project_path", "eve/shop", "user_access_level", "owner", "ref_protected", "false",
		"pipeline_source", "merge_request_event", "ref", "main"), s)
	facts := payloadFacts()
	facts.Ref.Value = s.Ref
	f, err := Apply(facts, p)
	if err != nil || f.UserAccessLevel.Known() || f.CIConfig.Known() || !f.MergeRequest || f.RefProtected || f.Ref.From != roles.Payload {
		t.Errorf("%+v %v", f, err)
	}
}

func TestTheConfigurationsAddressIsTakenFromItsOwnInstanceOnly(t *testing.T) {
	for _, c := range []struct{ issuer, claim, want string }{
		{"https://gitlab.example.com", "gitlab.example.com/a/b//.gitlab-ci.yml@refs/heads/main", "a/b//.gitlab-ci.yml@refs/heads/main"},
		{"https://gitlab.example.com:443", "gitlab.example.com/a/b//x.yml@refs/tags/v1", "a/b//x.yml@refs/tags/v1"},
		{"https://gitlab.example.com:8443", "gitlab.example.com:8443/a/b//x@refs/heads/m", "a/b//x@refs/heads/m"},
		{"https://example.com/gitlab", "example.com/gitlab/a/b//x@refs/heads/m", "a/b//x@refs/heads/m"},
		{"https://example.com/gitlab", "example.com/a/b//x@refs/heads/m", ""},
		{"https://gitlab.example.com", "gitlab.example.com.evil.net/a/b//x@refs/heads/m", ""},
		{"https://gitlab.example.com", "other.example.com/a/b//x@refs/heads/m", ""},
		{"https://gitlab.example.com", "", ""},
	} {
		if got := configOf(Claims{Config: c.claim}, c.issuer); got != c.want {
			t.Errorf("%s at %s: %q", c.claim, c.issuer, got)
		}
	}
	if got := configOf(Claims{Config: "g.example/a/b//x@refs/heads/m", ProjectID: 1, SourceProjectID: 2}, "https://g.example"); got != "" {
		t.Errorf("a fork's: %q", got)
	}
}

func TestAnOldPayloadIsFilledUpByTheToken(t *testing.T) {
	s := subject()
	s.PipelineID, s.UserID, s.Protected = 0, 0, nil
	facts := payloadFacts()
	facts.PipelineID, facts.UserID, facts.RefProtected = 0, 0, false
	f, err := Apply(facts, proven(t, nil, s))
	if err != nil || f.PipelineID != 6001 || f.UserID != 42 || !f.RefProtected {
		t.Errorf("%+v %v", f, err)
	}
}
