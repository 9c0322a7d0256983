package settings

import (
	"envrole/roles"
	"envrole/roles/settings/schema"
)

// fileSection lists every table of the file, those of the bases included.
func fileSection(bases []schema.Table) *section {
	return &section{entries: []entry{
		{name: "gitlab", kind: subsection, sub: &section{name: "gitlab", entries: []entry{
			{name: "url", kind: text, required: true, check: checkURL},
			{name: "proof", kind: text, def: ProofAPI, oneOf: []string{ProofAPI, ProofIDToken, ProofUnverified}},
			{name: "ca_file", kind: text, check: schema.AbsolutePath},
			{name: "legacy_ref_protected", kind: flag, def: "false"},
			{name: "timeout", kind: duration, def: "20s", min: minTimeout, max: maxTimeout},
			{name: "audience", kind: text, def: "envrole", check: checkAudience},
			{name: "jwks_max_age", kind: duration, def: "1h", min: minKeys, max: maxKeysFresh},
			{name: "jwks_stale", kind: duration, def: "24h", min: minKeys, max: maxKeysStale},
		}}},
		{name: "aws", kind: subsection, sub: &section{name: "aws", entries: []entry{
			{name: "region", kind: text, required: true, check: checkRegion},
			{name: "timeout", kind: duration, def: "40s", min: minTimeout, max: maxTimeout},
		}}},
		{name: "state", kind: subsection, sub: &section{name: "state", entries: []entry{
			{name: "dir", kind: text, def: "/var/lib/envrole", check: schema.AbsolutePath},
		}}},
		{name: "session", kind: subsection, sub: &section{name: "session", entries: []entry{
			{name: "enabled", kind: flag, def: "true"},
			{name: keyDuration, kind: duration, def: "1h", min: minSession, max: maxSession},
			{name: keyRevoke, kind: text, def: roles.RevokePolicy, oneOf: []string{roles.RevokePolicy, roles.RevokeLocal}},
			{name: keySessionTags, kind: text, def: roles.TagsRequired, oneOf: []string{roles.TagsRequired, roles.TagsBestEffort}},
			{name: keyShadowing, kind: text, def: roles.ShadowingFail, oneOf: []string{roles.ShadowingFail, roles.ShadowingWarn}},
			{name: keyDelivery, kind: text, def: roles.DeliveryEnv, oneOf: []string{roles.DeliveryEnv, roles.DeliveryEndpoint, roles.DeliveryProfile}},
		}}},
		{name: "revocation", kind: subsection, sub: &section{name: "revocation", entries: []entry{
			{name: "identity", kind: text, def: IdentityRole, oneOf: []string{IdentityRole, IdentityRunner}},
			{name: "role_arn", kind: text, def: DefaultRevoker, check: checkRevoker},
			{name: "external_id", kind: text, check: checkExternalID},
			{name: "timeout", kind: duration, def: "60s", min: minTimeout, max: maxTimeout},
		}}},
		{name: "executor", kind: subsection, sub: executorSection(bases)},
		{name: "policy", kind: subsection, sub: policySection()},
		{name: "role", kind: sections, sub: ruleSection()},
	}}
}

// executorSection lists what every base has, and a table for each.
func executorSection(bases []schema.Table) *section {
	base := entry{name: "base", kind: text, def: defaultBase}
	sec := &section{name: "executor", entries: []entry{base, {name: "pass_env", kind: texts, emptyOK: true}}}
	for _, t := range bases {
		sec.entries[0].oneOf = append(sec.entries[0].oneOf, t.Name)
		sec.entries = append(sec.entries, entry{name: t.Name, kind: subsection, sub: baseSection(t)})
	}
	return sec
}

// defaultBase is executor.base where the file does not name one.
const defaultBase = "shell"

// ruleSection lists the keys of a [[role]] table. It gives types only: what a
// rule must hold to be valid is the business of roles.Rule.Check.
func ruleSection() *section {
	return &section{name: "role", entries: []entry{
		{name: "name", kind: text},
		{name: "environments", kind: texts, check: checkPattern},
		{name: "tiers", kind: texts, check: checkPattern},
		{name: "projects", kind: texts, check: checkPattern},
		{name: "project_ids", kind: ids},
		{name: "refs", kind: texts, check: checkPattern},
		{name: "tag_refs", kind: texts, check: checkPattern},
		{name: "ref_protected", kind: flag, def: "true"},
		{name: "merge_requests", kind: flag, def: "false"},
		{name: "jobs", kind: texts, check: checkPattern},
		{name: "actions", kind: texts, check: checkPattern},
		{name: "sources", kind: texts, check: checkPattern},
		{name: "users", kind: texts, check: checkPattern},
		{name: "proof", kind: text, oneOf: []string{ProofAPI, ProofIDToken, ProofUnverified}},
		{name: "environment_protected", kind: flag, def: "false"},
		{name: "user_access_levels", kind: texts, check: checkPattern},
		{name: "ci_config", kind: texts, check: checkPattern},
		{name: "require_role", kind: flag, def: "false"},
		{name: "sub_stages", kind: texts, emptyOK: true},
		{name: "role_arn", kind: text},
		{name: "region", kind: text, check: checkRegion},
		{name: "external_id", kind: text},
		{name: "source_identity", kind: text},
		{name: "policy", kind: text, lines: true},
		{name: "policy_arns", kind: texts, emptyOK: true},
		{name: "tags", kind: textTable},
		{name: "transitive_tags", kind: texts, emptyOK: true},
		{name: "chain", kind: texts, emptyOK: true},
		// The defaults of these five are [session]'s, that of region is [aws]'s.
		{name: keyDuration, kind: duration},
		{name: keyRevoke, kind: text},
		{name: keySessionTags, kind: text},
		{name: keyShadowing, kind: text},
		{name: keyDelivery, kind: text},
	}}
}
