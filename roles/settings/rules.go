package settings

import (
	"path/filepath"
	"time"

	"envrole/roles"
)

// rules fills s.Rules from the [[role]] tables, with the defaults of [session]
// and [aws] merged in.
func (r *reader) rules(s *Settings, t *table) {
	for _, rt := range t.rules {
		rule := rt.rule(t.tables["session"], s.AWS.Region)
		rt.proof(&rule, s.GitLab.Proof)
		rt.judged(rule.Check())
		if why := r.undeliverable(s.Executor.Base, rule.Grant.Delivery); why != "" && !rt.bad[keyDelivery] {
			rt.judged([]roles.RuleProblem{{Key: keyDelivery, Msg: why}})
		}
		s.Rules = append(s.Rules, rule)
	}
	for _, p := range roles.Review(s.Rules) {
		t.rules[p.Rule].judged([]roles.RuleProblem{p})
	}
}

// judged files what the roles package says of a rule under the line of the key
// concerned, or of the rule where the key is not given. It leaves out a key
// that is known to be bad already: what was seen of it was a default.
func (t *table) judged(found []roles.RuleProblem) {
	for _, p := range found {
		at := t.place
		if p.Key != "" {
			at = at.key(p.Key)
		}
		switch {
		case p.Key != "" && t.bad[p.Key]:
		case p.Warning:
			t.warn(p.Key, "%s", p.Msg)
		default:
			t.reader.problems = append(t.reader.problems, t.note(p.Key, at, p.Msg))
		}
	}
}

// rule builds one rule. Its values are typed, not yet judged.
func (t *table) rule(session *table, region string) roles.Rule {
	projectIDs, _ := t.values["project_ids"].([]int64)
	tags, _ := t.values["tags"].(map[string]string)
	return roles.Rule{
		Name:         t.text("name"),
		Line:         t.place.lineOf(),
		Environments: t.patterns("environments"),
		Projects:     t.patterns("projects"),
		ProjectIDs:   projectIDs,
		Tiers:        t.patterns("tiers"),
		Refs:         t.patterns("refs"),
		TagRefs:      t.patterns("tag_refs"),
		Jobs:         t.patterns("jobs"),
		Actions:      t.patterns("actions"),
		Sources:      t.patterns("sources"),
		Users:        t.patterns("users"),

		EnvironmentProtected: t.flag("environment_protected"),
		UserAccessLevels:     t.patterns("user_access_levels"),
		CIConfig:             t.patterns("ci_config"),

		AnyRef:        !t.flag("ref_protected"),
		MergeRequests: t.flag("merge_requests"),
		RequireRole:   t.flag("require_role"),
		SubStages:     t.texts("sub_stages"),
		Grant: roles.Grant{
			RoleARN:        t.text("role_arn"),
			Region:         t.or("region", region),
			ExternalID:     t.text("external_id"),
			SourceIdentity: t.text("source_identity"),
			Policy:         t.text("policy"),
			PolicyARNs:     t.texts("policy_arns"),
			Tags:           tags,
			TransitiveTags: t.texts("transitive_tags"),
			Chain:          t.texts("chain"),
			Duration:       t.lengthOr(keyDuration, session.length(keyDuration)),
			Revoke:         t.or(keyRevoke, session.text(keyRevoke)),
			SessionTags:    t.or(keySessionTags, session.text(keySessionTags)),
			Shadowing:      t.or(keyShadowing, session.text(keyShadowing)),
			Delivery:       t.or(keyDelivery, session.text(keyDelivery)),
		},
	}
}

func (t *table) patterns(name string) []roles.Pattern {
	list := t.texts(name)
	if len(list) == 0 {
		return nil
	}
	out := make([]roles.Pattern, len(list))
	for i, p := range list {
		out[i] = roles.Pattern(p)
	}
	return out
}

// or is the rule's own value of a key, else the inherited one.
func (t *table) or(name, inherited string) string {
	if t.given(name) {
		return t.text(name)
	}
	return inherited
}

func (t *table) lengthOr(name string, inherited time.Duration) time.Duration {
	if t.given(name) {
		return t.length(name)
	}
	return inherited
}

// path is a directory's or file's name without a trailing slash and the like.
func (t *table) path(name string) string {
	if v := t.text(name); v != "" {
		return filepath.Clean(v)
	}
	return ""
}
