package job

import (
	"fmt"
	"testing"

	"envrole/roles"
	"envrole/roles/fault"
)

const gitlab = "https://gitlab.example.com"

func facts(t *testing.T, p *Payload, o FactOptions) roles.Facts {
	t.Helper()
	f, err := p.Facts(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFactsComeFromStructuredFieldsAndNameTheirSource(t *testing.T) {
	got := facts(t, payload(t, "honest_production.json", nil), FactOptions{GitLabURL: gitlab + "/"})
	want := roles.Facts{
		JobID: 9876543, ProjectID: 150, PipelineID: 6001, UserID: 42,
		ProjectPath:  roles.Fact{Value: "acme/platform/shop", From: roles.Payload},
		Ref:          roles.Fact{Value: "main", From: roles.Payload},
		RefProtected: true,
		JobName:      roles.Fact{Value: "deploy-production", From: roles.Author},
		Action:       roles.Fact{Value: "start", From: roles.Author},
		Source:       roles.Fact{Value: "push", From: roles.Author},
		JobURL:       "https://gitlab.example.com/acme/platform/shop/-/jobs/9876543",
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestOldPayloadGivesProjectFromRepositoryURLAndNoProtection(t *testing.T) {
	p := payload(t, "runner_17.json", nil)
	f := facts(t, p, FactOptions{GitLabURL: "http://127.0.0.1"})
	if f.ProjectPath.Value != "acme/shop/web" || f.ProjectPath.From != roles.Payload || f.RefProtected || !f.RefProtectionUnsaid || f.PipelineID != 0 {
		t.Errorf("%+v", f)
	}
	if f := facts(t, p, FactOptions{GitLabURL: "http://127.0.0.1", LegacyRefProtected: true}); !f.RefProtected || f.RefProtectionUnsaid {
		t.Error("legacy_ref_protected was not honoured")
	}
}

func TestNoVariableReachesAStructuredFact(t *testing.T) {
	honest := facts(t, payload(t, "honest_without_environment.json", nil), FactOptions{GitLabURL: gitlab})
	forged := payload(t, "honest_without_environment.json", func(m map[string]any) {
		list, _ := m["variables"].([]any)
		for _, kv := range [][2]string{
			{"CI_PROJECT_PATH", "acme/secret"},
			{"CI_PROJECT_ID", "1"},
			{"CI_COMMIT_REF_NAME", "main"},
			{"CI_COMMIT_REF_PROTECTED", "true"},
			{"CI_COMMIT_TAG", "v1"},
			{"CI_ENVIRONMENT_NAME", "production"},
			{"CI_ENVIRONMENT_SLUG", "production"},
			{"CI_ENVIRONMENT_TIER", "production"},
			{"GITLAB_USER_LOGIN", "root"},
			{"GITLAB_USER_ID", "1"},
			{"CI_JOB_ID", "1"},
			{"CI_PIPELINE_ID", "1"},
			{"CI_JOB_NAME", "deploy"},
			{"CI_SERVER_URL", "https://evil.example"},
			{"CI_JOB_URL", "https://evil.example"},
		} {
			v := map[string]any{"key": kv[0], "value": kv[1]}
			list = append([]any{v}, append(list, v)...)
		}
		m["variables"] = list
	})
	if got := facts(t, forged, FactOptions{GitLabURL: gitlab, LegacyRefProtected: true}); got != honest {
		t.Errorf("got  %+v\nwant %+v", got, honest)
	}
}

func TestAuthorsWordThatContradictsItselfIsAbsent(t *testing.T) {
	p := payload(t, "honest_production.json", nil)
	p.Variables = append(p.Variables, Variable{"CI_PIPELINE_SOURCE", "schedule"}, Variable{"CI_ENVIRONMENT_ACTION", "start"})
	f := facts(t, p, FactOptions{GitLabURL: gitlab})
	if f.Source.Known() || f.Action.Value != "start" {
		t.Errorf("source %+v, action %+v", f.Source, f.Action)
	}
}

func TestLegacyProtectionNeedsTheSettingAndEveryOccurrence(t *testing.T) {
	const key = "CI_COMMIT_REF_PROTECTED"
	no := false
	for _, c := range []struct {
		p      *Payload
		legacy bool
		want   bool
	}{
		{vars(key, "true"), true, true},
		{vars(key, "true", key, "true"), true, true},
		{vars(key, "true"), false, false},
		{vars(key, "false", key, "true"), true, false},
		{vars(key, "true", key, ""), true, false},
		{vars(key, "TRUE"), true, false},
		{vars(), true, false},
		{&Payload{Git: Git{Protected: &no}, Variables: vars(key, "true").Variables}, true, false},
	} {
		if got := c.p.refProtected(c.legacy); got != c.want {
			t.Errorf("%v, legacy %t: %t", c.p.Variables, c.legacy, got)
		}
	}
}

func TestEveryHintOfAMergeRequestCounts(t *testing.T) {
	for _, p := range []*Payload{
		{Git: Git{Ref: "refs/merge-requests/7/head"}},
		{Git: Git{Ref: "main", Refspecs: []string{"+refs/merge-requests/7/merge:refs/pipelines/1"}}},
		vars("CI_MERGE_REQUEST_IID", ""),
		vars("CI_MERGE_REQUEST_ID", "9"),
		vars("CI_PIPELINE_SOURCE", "push", "CI_PIPELINE_SOURCE", "merge_request_event"),
	} {
		if !p.mergeRequest() {
			t.Errorf("%+v is no merge request", p)
		}
	}
	if payload(t, "honest_production.json", nil).mergeRequest() {
		t.Error("the production job is one")
	}
}

func TestRefOfAnUnknownTypeIsAbsent(t *testing.T) {
	for refType, want := range map[string]roles.Facts{
		"branch": {Ref: roles.Fact{Value: "v1", From: roles.Payload}},
		"tag":    {Ref: roles.Fact{Value: "v1", From: roles.Payload}, Tag: true},
		"":       {}, "commit": {}, "Branch": {},
	} {
		p := payload(t, "honest_production.json", func(m map[string]any) {
			in(m, "git_info")["ref"], in(m, "git_info")["ref_type"] = "v1", refType
		})
		if f := facts(t, p, FactOptions{GitLabURL: gitlab}); f.Ref != want.Ref || f.Tag != want.Tag {
			t.Errorf("%q: %+v tag %t", refType, f.Ref, f.Tag)
		}
	}
}

func TestProjectPath(t *testing.T) {
	for _, c := range []struct{ full, repo, url, want string }{
		{"a/b", "https://h/a/b.git", "https://h", "a/b"},
		{"a/b", "https://clone.h/mirror/a/b.git", "https://h", "a/b"}, // clones below a path of their own
		{"", "https://h/a/b.git", "https://h", "a/b"},
		{"", "https://h/a/b.git", "https://internal:8443/", "a/b"},
		{"", "https://h/gitlab/a/b.git", "https://h/gitlab/", "a/b"},
		{"", "https://h/gitlab/gitlab/b.git", "https://h/gitlab", "gitlab/b"},
		{"", "https://h/a/b.git.git", "https://h", "a/b.git"},
		// refusals
		{"", "https://h/a/b.git", "https://h/gitlab", ""},
		{"", "https://h/gitlabber/b.git", "https://h/gitlab", ""},
		{"a/b", "https://h/a/c.git", "https://h", ""},
		{"a/b", "https://h/xa/b.git", "https://h", ""},
		{"a/b", "", "https://h", ""},
		{"", "", "https://h", ""},
		{"", "https://h/a/b", "https://h", ""},
		{"", "https://h/b.git", "https://h", ""},
		{"", "https://h/a//b.git", "https://h", ""},
		{"", "https://h/a/../b.git", "https://h", ""},
		{"", "https://h/a%2f..%2fb/c.git", "https://h", ""},
		{"", "https://h/a/b%20c.git", "https://h", ""},
		{"", "https://h/a/b\u202ec.git", "https://h", ""},
		{"a/b\n", "https://h/a/b.git", "https://h", ""},
		{"b", "https://h/b.git", "https://h", ""},
	} {
		t.Run(fmt.Sprintf("%s %s %s", c.full, c.repo, c.url), func(t *testing.T) {
			p := &Payload{ID: 1, Job: Info{ProjectID: 1, ProjectFullPath: c.full}, Git: Git{RepoURL: withoutUserinfo(c.repo)}}
			f, err := p.Facts(FactOptions{GitLabURL: c.url})
			if f.ProjectPath.Value != c.want || (err == nil) != (c.want != "") {
				t.Errorf("%q, %v", f.ProjectPath.Value, err)
			}
			if err != nil && fault.ClassOf(err) != fault.Refused {
				t.Errorf("class %s", fault.ClassOf(err))
			}
		})
	}
}
