package roles

import (
	"time"

	"pgregory.net/rapid"
)

// deployRule and deployFacts match each other: the tests change one thing.
func deployRule() Rule {
	return Rule{
		Name: "deploys", Line: 7,
		Environments: []Pattern{"production", "production/*"},
		Projects:     []Pattern{"acme/shop/*"},
		ProjectIDs:   []int64{4242, 4243},
		Tiers:        []Pattern{"production"},
		Refs:         []Pattern{"main", "release/*"},
		TagRefs:      []Pattern{"v*"},
		Jobs:         []Pattern{"deploy*"},
		Actions:      []Pattern{"start"},
		Sources:      []Pattern{"push", "web"},
		Users:        []Pattern{"dana"},
		Grant: Grant{
			RoleARN:  "arn:aws:iam::111122223333:role/deploy",
			Region:   "eu-central-1",
			Duration: 30 * time.Minute,
		},
	}
}

func deployFacts() Facts {
	return Facts{
		JobID: 900100, ProjectID: 4242, PipelineID: 7001, UserID: 77,
		ProjectPath:     Fact{"acme/shop/web", Payload},
		Ref:             Fact{"main", Payload},
		RefProtected:    true,
		Environment:     Fact{"production", GitLabAPI},
		EnvironmentSlug: Fact{"production", GitLabAPI},
		Tier:            Fact{"production", GitLabAPI},
		UserLogin:       Fact{"dana", GitLabAPI},
		JobName:         Fact{"deploy web", Author},
		Action:          Fact{"start", Author},
		Source:          Fact{"push", Author},
	}
}

// The generators draw from few values, so that rules and facts often meet.

// genPatterns leaves the condition out in every second rule.
func genPatterns(t *rapid.T, label string, values ...string) []Pattern {
	if !rapid.Bool().Draw(t, label+" given") {
		return nil
	}
	var out []Pattern
	for _, v := range rapid.SliceOfN(rapid.SampledFrom(values), 1, 2).Draw(t, label) {
		out = append(out, Pattern(v))
	}
	return out
}

func genRule(t *rapid.T) Rule {
	return Rule{
		Name:         "r",
		Environments: genPatterns(t, "environments", "*", "p", "p/*", "s", "*x*"),
		Projects:     genPatterns(t, "projects", "a/b", "a/*", "*", "a/c", "*/b"),
		ProjectIDs:   rapid.SliceOfN(rapid.Int64Range(1, 2), 0, 2).Draw(t, "project_ids"),
		Tiers:        genPatterns(t, "tiers", "production", "staging", "*"),
		Refs:         genPatterns(t, "refs", "main", "*", "r/*"),
		TagRefs:      genPatterns(t, "tag_refs", "v*", "*", "v1"),
		Jobs:         genPatterns(t, "jobs", "d*", "deploy"),
		Actions:      genPatterns(t, "actions", "start", "*"),
		Sources:      genPatterns(t, "sources", "push", "web"),
		Users:        genPatterns(t, "users", "dana", "*"),
		Proof:        rapid.SampledFrom([]Provenance{Absent, Unverified, GitLabAPI, IDToken}).Draw(t, "proof"),

		EnvironmentProtected: rapid.Bool().Draw(t, "environment_protected"),
		UserAccessLevels:     genPatterns(t, "user_access_levels", "owner", "maintainer", "*"),
		CIConfig:             genPatterns(t, "ci_config", "a/b//.gitlab-ci.yml@refs/heads/main", "a/b//*@refs/heads/main", "*"),

		AnyRef:        rapid.Bool().Draw(t, "any_ref"),
		MergeRequests: rapid.Bool().Draw(t, "merge_requests"),
		RequireRole:   rapid.Bool().Draw(t, "require_role"),
		Grant:         Grant{RoleARN: "arn:aws:iam::111122223333:role/deploy"},
	}
}

// looser widens some of a rule's conditions, or drops them where the rule still
// names environments and projects.
func looser(t *rapid.T, r Rule) Rule {
	r.Environments = append([]Pattern{"p*"}, r.Environments...)
	r.Projects = append([]Pattern{"a/*"}, r.Projects...)
	r.ProjectIDs = nil
	for _, list := range []*[]Pattern{&r.Tiers, &r.Refs, &r.TagRefs, &r.Jobs, &r.Actions, &r.Sources, &r.Users, &r.UserAccessLevels, &r.CIConfig} {
		switch rapid.IntRange(0, 3).Draw(t, "looser") {
		case 0, 1:
			*list = nil
		case 2:
			*list = append([]Pattern{"*"}, *list...)
		}
	}
	if rapid.Bool().Draw(t, "any proof") {
		r.Proof = Absent
	}
	r.EnvironmentProtected = r.EnvironmentProtected && rapid.Bool().Draw(t, "still protected")
	return r
}

func genLooseRule(t *rapid.T) Rule { return looser(t, genRule(t)) }

func genFacts(t *rapid.T) Facts {
	sources := []Provenance{rapid.SampledFrom([]Provenance{GitLabAPI, IDToken, IDTokenAndAPI}).Draw(t, "proof")}
	if rapid.Bool().Draw(t, "with gaps") {
		sources = []Provenance{Absent, Author, Unverified, Payload, GitLabAPI, IDToken, IDTokenAndAPI}
	}
	fact := func(label string, values ...string) Fact {
		return Fact{
			Value: rapid.SampledFrom(values).Draw(t, label),
			From:  rapid.SampledFrom(sources).Draw(t, label+" from"),
		}
	}
	return Facts{
		JobID:           1,
		ProjectID:       rapid.Int64Range(0, 3).Draw(t, "project"),
		ProjectPath:     fact("path", "a/b", "a/c", "z/b"),
		Ref:             fact("ref", "main", "r/1", "v1", "refs/merge-requests/3/head"),
		Tag:             rapid.Bool().Draw(t, "tag"),
		RefProtected:    rapid.Bool().Draw(t, "protected"),
		MergeRequest:    rapid.Bool().Draw(t, "merge request"),
		Environment:     fact("environment", "p", "p/1", "s", "axb", ""),
		EnvironmentSlug: fact("slug", "p", "s"),
		Tier:            fact("tier", "production", "staging", "other"),
		UserLogin:       fact("user", "dana", "eve"),
		JobName:         fact("job", "deploy", "d1", "test"),
		Action:          fact("action", "start", "stop"),
		Source:          fact("source", "push", "web", "api"),

		EnvironmentProtected: fact("environment protected", "true", "false"),
		UserAccessLevel:      fact("access level", "owner", "maintainer", "guest"),
		CIConfig:             fact("configuration", "a/b//.gitlab-ci.yml@refs/heads/main", "a/c//x.yml@refs/heads/f"),
	}
}
