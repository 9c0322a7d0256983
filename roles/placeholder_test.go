package roles

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestPlaceholders(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
		err  string
	}{
		{"plain", nil, ""},
		{"{project_id}-{tier}-{project_id}", []string{"project_id", "tier"}, ""},
		{`{"Statement":[{"Effect":"Allow","Condition":{}}]}`, nil, ""},
		{`{"Resource":"x/{job_id}","u":"${aws:username}"}`, []string{"job_id"}, ""},
		{"{{tier}}", []string{"tier"}, ""},
		{"{tier", nil, ""},
		{"{}", nil, ""},
		{"{project}", nil, `unknown placeholder "project"`},
		{"{project-id}", nil, `unknown placeholder "project-id"`},
		{"{TIER}", nil, `unknown placeholder "TIER"`},
		{"${tier}", []string{"tier"}, "write {tier} without the $"},
	} {
		got, err := Placeholders(c.text)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", c.text, got)
		}
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v", c.text, err)
		}
	}
}

func TestGrantIsFilledEverywhere(t *testing.T) {
	r := deployRule()
	r.Grant = Grant{
		RoleARN:        "arn:aws:iam::111122223333:role/p{project_id}/{tier}-{environment_slug}",
		ExternalID:     "job/{job_id}",
		SourceIdentity: "{user_login}@{project_slug}",
		Policy:         "{\n  \"Statement\": [{\"Effect\": \"Allow\", \"Action\": \"s3:*\", \"Resource\": \"arn:aws:s3:::b/{namespace_slug}/{ref_slug}/*\"}]\n}\n",
		PolicyARNs:     []string{"arn:aws:iam::111122223333:policy/{tier}"},
		Tags:           map[string]string{"team": "{namespace_slug}", "fixed": "x"},
		Chain:          []string{"arn:aws:iam::111122223333:role/hub-{project_id}"},
	}
	f := deployFacts()
	f.Ref.Value = "release/1.0"
	d := Decide([]Rule{r}, f)
	want := Grant{
		RoleARN:        "arn:aws:iam::111122223333:role/p4242/production-production",
		ExternalID:     "job/900100",
		SourceIdentity: "dana@acme-shop-web",
		Policy:         `{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/acme-shop/release-1-0/*"}]}`,
		PolicyARNs:     []string{"arn:aws:iam::111122223333:policy/production"},
		Tags:           map[string]string{"team": "acme-shop", "fixed": "x"},
		Chain:          []string{"arn:aws:iam::111122223333:role/hub-4242"},
	}
	if d.Outcome != Lend || !reflect.DeepEqual(d.Grant, want) {
		t.Errorf("%s: %s\n got %+v\nwant %+v", d.Outcome, d.Why, d.Grant, want)
	}
}

// A value that is missing, the author's, or not what it should be refuses the
// job; it never falls through to a later rule.
func TestUnfitPlaceholdersRefuse(t *testing.T) {
	role := "arn:aws:iam::111122223333:role/x-"
	for _, c := range []struct {
		name   string
		grant  Grant
		change func(*Facts)
		why    string
	}{
		{"no slug", Grant{RoleARN: role + "{environment_slug}"}, func(f *Facts) { f.EnvironmentSlug = Fact{} }, "role_arn: {environment_slug} cannot be filled: the environment's slug is not known"},
		{"author's slug", Grant{RoleARN: role + "{environment_slug}"}, func(f *Facts) { f.EnvironmentSlug.From = Author }, "is only the job's author's word"},
		{"slug with a wildcard", Grant{RoleARN: role + "{environment_slug}"}, func(f *Facts) { f.EnvironmentSlug.Value = "a*" }, "has an unexpected form"},
		{"author's tier", Grant{RoleARN: role + "{tier}"}, func(f *Facts) { f.Tier.From = Author }, "is only the job's author's word"},
		{"tier outside the five", Grant{RoleARN: role + "{tier}"}, func(f *Facts) { f.Tier.Value = "Production" }, "has an unexpected form"},
		{"no job id", Grant{RoleARN: role + "{job_id}"}, func(f *Facts) { f.JobID = 0 }, "the job's id is not known"},
		{"negative id", Grant{RoleARN: role + "{job_id}"}, func(f *Facts) { f.JobID = -1 }, "the job's id is not known"},
		{"no project path", Grant{RoleARN: role + "{project_slug}"}, func(f *Facts) { f.ProjectPath = Fact{} }, "the project's path is not known"},
		{"author's project path", Grant{RoleARN: role + "{namespace_slug}"}, func(f *Facts) { f.ProjectPath.From = Author }, "only the job's author's word"},
		{"no namespace", Grant{RoleARN: role + "{namespace_slug}"}, func(f *Facts) { f.ProjectPath.Value = "web" }, "leaves nothing for a slug"},
		{"ref without letters", Grant{RoleARN: role + "{ref_slug}"}, func(f *Facts) { f.Ref.Value = "äöü" }, "leaves nothing for a slug"},
		{"login with a slash", Grant{RoleARN: role + "{user_login}"}, func(f *Facts) { f.UserLogin.Value = "a/b" }, "has an unexpected form"},
		{"login that makes the name too long", Grant{RoleARN: role + "{user_login}"}, func(f *Facts) { f.UserLogin.Value = strings.Repeat("a", 63) }, "64 is the most"},
		{"login like the keyword", Grant{RoleARN: role, SourceIdentity: "{user_login}"}, func(f *Facts) { f.UserLogin.Value = "session" }, "came out as the keyword"},
		{"source identity too short", Grant{RoleARN: role, SourceIdentity: "{user_login}"}, func(f *Facts) { f.UserLogin.Value = "x" }, "source_identity: "},
		{"external id too short", Grant{RoleARN: role, ExternalID: "{job_id}"}, func(f *Facts) { f.JobID = 7 }, "external_id: "},
		{"placeholder outside a string", Grant{RoleARN: role, Policy: `{"Statement":{project_id}}`}, func(*Facts) {}, "outside of a JSON string"},
		{"unknown placeholder", Grant{RoleARN: role + "{nope}"}, func(*Facts) {}, "there is no such placeholder"},
		{"policy grows too long", Grant{RoleARN: role, Policy: `{"Statement":"` + strings.Repeat("{project_slug}", 140) + `"}`}, func(f *Facts) {
			f.ProjectPath.Value = "acme/shop/" + strings.Repeat("web", 20)
		}, "2048 is the most"},
		{"tag value", Grant{RoleARN: role, Tags: map[string]string{"k": "{user_login}{user_login}{user_login}{user_login}{user_login}"}}, func(f *Facts) {
			f.UserLogin.Value = strings.Repeat("a", 60)
		}, "tags: "},
	} {
		r, f := deployRule(), deployFacts()
		r.Tiers, r.Users, r.Refs, r.TagRefs, r.Projects = nil, nil, nil, nil, nil
		next := r
		next.Grant = Grant{RoleARN: role}
		r.Grant = c.grant
		c.change(&f)
		d := Decide([]Rule{r, next}, f)
		if d.Outcome != Refuse || !strings.Contains(d.Why, c.why) || d.Grant.RoleARN != "" {
			t.Errorf("%s: %s: %s", c.name, d.Outcome, d.Why)
		}
	}
}

func TestSourceIdentityKeywordIsKept(t *testing.T) {
	r := deployRule()
	r.Grant.SourceIdentity = SourceIdentitySession
	if d := Decide([]Rule{r}, deployFacts()); d.Outcome != Lend || d.Grant.SourceIdentity != "session" {
		t.Errorf("%+v", d)
	}
}

// shape is a JSON value with every string made equal.
func shape(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = shape(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = shape(e)
		}
		return out
	case string:
		return ""
	}
	return v
}

// FuzzPlaceholder: whatever facts hold, a decision to lend leaves the ARN's
// account and path, and the policy's structure, as the administrator wrote them.
func FuzzPlaceholder(f *testing.F) {
	f.Add("acme/shop/web", "main", "dana", "production", "production", int64(1))
	f.Add(`a/b","Effect":"Allow`, `"}]}`, `x":"*`, "*", "{tier}", int64(-1))
	f.Add("a/${aws:username}", "\\\"", "{job_id}", "other", "e*", int64(0))
	const policy = `{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/{project_slug}/{ref_slug}/{user_login}/{tier}/{environment_slug}/{namespace_slug}/{job_id}"}]}`
	var template any
	if err := json.Unmarshal([]byte(policy), &template); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path, ref, login, tier, slug string, id int64) {
		r := Rule{
			Name: "r", Environments: []Pattern{"*"}, ProjectIDs: []int64{1}, AnyRef: true, MergeRequests: true,
			Grant: Grant{
				RoleARN:        "arn:aws:iam::111122223333:role/p/{job_id}/{tier}/{environment_slug}-{user_login}",
				ExternalID:     "x{project_slug}",
				SourceIdentity: "{user_login}",
				Policy:         policy,
				Tags:           map[string]string{"k": "{ref_slug}{user_login}"},
			},
		}
		d := Decide([]Rule{r}, Facts{
			JobID: id, ProjectID: 1,
			ProjectPath: Fact{path, Payload}, Ref: Fact{ref, Payload}, UserLogin: Fact{login, GitLabAPI},
			Tier: Fact{tier, GitLabAPI}, Environment: Fact{"e", GitLabAPI}, EnvironmentSlug: Fact{slug, GitLabAPI},
		})
		if d.Outcome != Lend {
			return
		}
		arn, err := ParseRoleARN(d.Grant.RoleARN)
		if err != nil || arn.Account != "111122223333" || strings.Count(arn.Path, "/") != 4 {
			t.Fatalf("%+v, %v", arn, err)
		}
		var got any
		if err := json.Unmarshal([]byte(d.Grant.Policy), &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(shape(got), shape(template)) || strings.ContainsAny(d.Grant.Policy, "?$\\") || strings.Count(d.Grant.Policy, "*") != 1 {
			t.Fatalf("the policy became %s", d.Grant.Policy)
		}
		if strings.Contains(d.Grant.SourceIdentity, "/") || d.Grant.SourceIdentity == "session" {
			t.Fatalf("source identity %q", d.Grant.SourceIdentity)
		}
	})
}
