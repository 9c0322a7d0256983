package roles

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func fullRule() Rule {
	r := deployRule()
	r.SubStages = []string{"get_sources"}
	r.Grant = Grant{
		RoleARN: "arn:aws:iam::111122223333:role/deploy-{project_id}", Region: "eu-central-1",
		ExternalID: "a/b:c", SourceIdentity: "session",
		Policy:     `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::b/{project_id}/*"}]}`,
		PolicyARNs: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"},
		Tags:       map[string]string{"team": "shop", "tier": "{tier}"}, TransitiveTags: []string{"Team", "envrole:project"},
		Chain: []string{"arn:aws:iam::111122223333:role/hub"}, Duration: time.Hour,
		Revoke: RevokePolicy, SessionTags: TagsRequired, Shadowing: ShadowingFail,
	}
	return r
}

func TestCheckIsContentWithAGoodRule(t *testing.T) {
	full, plain := fullRule(), deployRule()
	for _, r := range []*Rule{&full, &plain} {
		if p := r.Check(); len(p) > 0 {
			t.Errorf("%+v", p)
		}
	}
}

// Each row spoils one thing; Check must complain of exactly that key.
func TestCheckNamesTheKey(t *testing.T) {
	const role = "arn:aws:iam::111122223333:role/"
	many := func(n int) map[string]string {
		tags := map[string]string{}
		for i := range n {
			tags[fmt.Sprintf("key%d", i)] = ""
		}
		return tags
	}
	for _, c := range []struct {
		key, msg string
		warning  bool
		spoil    func(*Rule)
	}{
		{"name", "no name", false, func(r *Rule) { r.Name = " " }},
		{"name", "cannot be printed", false, func(r *Rule) { r.Name = "a\x1b[2J" }},
		{"name", "the most", false, func(r *Rule) { r.Name = strings.Repeat("a", 129) }},
		{"environments", "no environment", false, func(r *Rule) { r.Environments = nil }},
		{"environments", "empty", false, func(r *Rule) { r.Environments = []Pattern{""} }},
		{"projects", "no project", false, func(r *Rule) { r.Projects, r.ProjectIDs = nil, nil }},
		{"projects", "matches no project", false, func(r *Rule) { r.Projects = []Pattern{"web"} }},
		{"projects", "matches no project", false, func(r *Rule) { r.Projects = []Pattern{"/acme/web"} }},
		{"projects", "invisible", false, func(r *Rule) { r.Projects = []Pattern{"acme/\x01x"} }},
		{"project_ids", "-1", false, func(r *Rule) { r.ProjectIDs = []int64{-1} }},
		{"tiers", "no tier", false, func(r *Rule) { r.Tiers = []Pattern{"prod"} }},
		{"refs", "empty", false, func(r *Rule) { r.Refs = []Pattern{""} }},
		{"tag_refs", "empty", false, func(r *Rule) { r.TagRefs = []Pattern{""} }},
		{"jobs", "empty", false, func(r *Rule) { r.Jobs = []Pattern{""} }},
		{"users", "empty", false, func(r *Rule) { r.Users = []Pattern{""} }},
		{"actions", "no environment action", false, func(r *Rule) { r.Actions = []Pattern{"deploy"} }},
		{"sources", "no pipeline source", true, func(r *Rule) { r.Sources = []Pattern{"cron"} }},
		{"sub_stages", "no sub-stage", false, func(r *Rule) { r.SubStages = []string{"script"} }},
		{"sub_stages", "anyway", true, func(r *Rule) { r.SubStages = []string{"step_script"} }},

		{"role_arn", "no role_arn", false, func(r *Rule) { r.Grant.RoleARN = "" }},
		{"role_arn", "not an IAM ARN", false, func(r *Rule) { r.Grant.RoleARN = "deploy" }},
		{"role_arn", "unknown placeholder", false, func(r *Rule) { r.Grant.RoleARN = role + "{project}" }},
		{"role_arn", "may stand behind", false, func(r *Rule) { r.Grant.RoleARN = "arn:aws:iam::{user_login}:role/x" }},
		{"role_arn", "may stand behind", false, func(r *Rule) { r.Grant.RoleARN = "arn:{tier}:iam::111122223333:role/x" }},
		{"role_arn", "only", false, func(r *Rule) { r.Grant.RoleARN = role + "{tier" }},
		{"role_arn", "not unique", false, func(r *Rule) { r.Grant.RoleARN = role + "{project_slug}" }},
		{"role_arn", "not unique", false, func(r *Rule) { r.Grant.RoleARN, r.Projects = role+"{namespace_slug}", nil }},
		{"role_arn", "not unique", false, func(r *Rule) { r.Grant.RoleARN = role + "{ref_slug}" }},
		{"role_arn", "share one", true, func(r *Rule) { r.Grant.RoleARN, r.Projects = role+"{ref_slug}", []Pattern{"a/b"} }},
		{"role_arn", `"acme-shop-pay-api" for both`, false, func(r *Rule) {
			r.Grant.RoleARN, r.Projects = role+"{project_slug}", []Pattern{"acme/shop-pay/api", "acme/shop/pay-api"}
		}},
		{"chain", "not unique", false, func(r *Rule) { r.Grant.Chain = []string{role + "{project_slug}"} }},
		{"chain", "account", false, func(r *Rule) { r.Grant.Chain = []string{"arn:aws:iam::1:role/x"} }},
		{"chain", "not an IAM ARN", false, func(r *Rule) { r.Grant.Chain = []string{"x"} }},
		{"external_id", "characters", false, func(r *Rule) { r.Grant.ExternalID = "x" }},
		{"external_id", "only", false, func(r *Rule) { r.Grant.ExternalID = "a b" }},
		{"source_identity", "only", false, func(r *Rule) { r.Grant.SourceIdentity = "a/b" }},
		{"source_identity", "characters", false, func(r *Rule) { r.Grant.SourceIdentity = strings.Repeat("a", 65) }},
		{"policy", "JSON", false, func(r *Rule) { r.Grant.Policy = "{" }},
		{"policy", "JSON object", false, func(r *Rule) { r.Grant.Policy = "[]" }},
		{"policy", "no Statement", false, func(r *Rule) { r.Grant.Policy = "{}" }},
		{"policy", "inside strings only", false, func(r *Rule) { r.Grant.Policy = `{"Statement":{job_id}}` }},
		{"policy", "key", false, func(r *Rule) { r.Grant.Policy = `{"Statement":[{"Condition":{"{tier}":""}}]}` }},
		{"policy", "not unique", false, func(r *Rule) { r.Grant.Policy = `{"Statement":"{project_slug}"}` }},
		{"policy", "without the $", false, func(r *Rule) { r.Grant.Policy = `{"Statement":"${tier}"}` }},
		{"policy", "2048", false, func(r *Rule) { r.Grant.Policy = `{"Statement":"` + strings.Repeat("a", 2048) + `"}` }},
		{"policy", "U+20AC", false, func(r *Rule) { r.Grant.Policy = `{"Statement":"€"}` }},
		{"policy_arns", "10 is the most", false, func(r *Rule) {
			r.Grant.PolicyARNs = strings.Split(strings.Repeat("arn:aws:iam::aws:policy/x ", 11), " ")[:11]
		}},
		{"policy_arns", "managed policy", false, func(r *Rule) { r.Grant.PolicyARNs = []string{role + "x"} }},
		{"region", "no AWS region", false, func(r *Rule) { r.Grant.Region = "evil.example.com/x" }},
		{"duration", "limits", false, func(r *Rule) { r.Grant.Duration = 15*time.Minute - time.Second }},
		{"duration", "limits", false, func(r *Rule) { r.Grant.Duration = 12*time.Hour + time.Second }},
		{"duration", "limits", false, func(r *Rule) { r.Grant.Duration = -time.Hour }},
		{"duration", "whole seconds", false, func(r *Rule) { r.Grant.Duration = time.Hour - time.Millisecond }},
		{"duration", "shortened", true, func(r *Rule) { r.Grant.Duration = 2 * time.Hour }},
		{"tags", "40 is the most", false, func(r *Rule) { r.Grant.Tags, r.Grant.TransitiveTags = many(41), nil }},
		{"tags", "AWS keeps", false, func(r *Rule) { r.Grant.Tags["AWS:x"] = "" }},
		{"tags", "AWS keeps", false, func(r *Rule) { r.Grant.Tags["x"] = "aws:y" }},
		{"tags", "EnvRole's own", false, func(r *Rule) { r.Grant.Tags["EnvRole:project"] = "" }},
		{"tags", "same to AWS", false, func(r *Rule) { r.Grant.Tags["TEAM"] = "" }},
		{"tags", "only", false, func(r *Rule) { r.Grant.Tags["a*"] = "" }},
		{"tags", "characters", false, func(r *Rule) { r.Grant.Tags[""] = "" }},
		{"tags", "characters", false, func(r *Rule) { r.Grant.Tags[strings.Repeat("ü", 129)] = "" }},
		{"tags", "characters", false, func(r *Rule) { r.Grant.Tags["x"] = strings.Repeat("ü", 257) }},
		{"tags", "only", false, func(r *Rule) { r.Grant.Tags["x"] = "{tier" }},
		{"transitive_tags", "neither", false, func(r *Rule) { r.Grant.TransitiveTags = []string{"nope"} }},
		{"transitive_tags", "twice", false, func(r *Rule) { r.Grant.TransitiveTags = []string{"team", "Team"} }},
		{"revoke", "is not", false, func(r *Rule) { r.Grant.Revoke = "never" }},
		{"session_tags", "is not", false, func(r *Rule) { r.Grant.SessionTags = "no" }},
		{"shadowing", "is not", false, func(r *Rule) { r.Grant.Shadowing = "ignore" }},
	} {
		r := fullRule()
		c.spoil(&r)
		found := r.Check()
		if len(found) != 1 || found[0].Key != c.key || found[0].Warning != c.warning || !strings.Contains(found[0].Msg, c.msg) {
			t.Errorf("%s (%s): %+v", c.key, c.msg, found)
		}
	}
}

func TestCheckReportsEverythingAtOnce(t *testing.T) {
	keys := map[string]bool{}
	for _, p := range (&Rule{Grant: Grant{Duration: 1, Policy: "x"}}).Check() {
		keys[p.Key] = true
	}
	for _, k := range []string{"name", "environments", "projects", "role_arn", "policy", "duration"} {
		if !keys[k] {
			t.Errorf("no problem with %s in %v", k, keys)
		}
	}
}

func TestCheckAllowsSlugsOfProjectsInFull(t *testing.T) {
	r := fullRule()
	r.Projects = []Pattern{"acme/shop/web", "acme/shop/api"}
	r.Grant.RoleARN = "arn:aws:iam::111122223333:role/{namespace_slug}/{project_slug}"
	if p := r.Check(); len(p) > 0 {
		t.Errorf("%+v", p)
	}
}

// What a secret may be is not repeated in a message that lands in logs.
func TestExternalIDIsNotRepeated(t *testing.T) {
	r := fullRule()
	r.Grant.ExternalID = "hunter2 hunter2"
	if p := r.Check(); len(p) != 1 || strings.Contains(p[0].Msg, "hunter2") {
		t.Errorf("%+v", p)
	}
}
