package settings

import "envrole/roles"

// fileSection lists every table of the file.
func fileSection() *section {
	return &section{entries: []entry{
		{name: "gitlab", kind: subsection, sub: &section{name: "gitlab", entries: []entry{
			{name: "url", kind: text, required: true, check: checkURL},
			{name: "proof", kind: text, def: ProofAPI, oneOf: []string{ProofAPI, ProofIDToken, ProofUnverified}},
			{name: "ca_file", kind: text, check: checkPath},
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
			{name: "dir", kind: text, def: "/var/lib/envrole", check: checkPath},
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
		{name: "executor", kind: subsection, sub: &section{name: "executor", entries: []entry{
			{name: "base", kind: text, def: BaseShell, oneOf: []string{BaseShell}, later: []string{BaseDocker, BaseDriver}},
			{name: "pass_env", kind: texts, check: checkPassEnv, emptyOK: true},
			{name: "shell", kind: subsection, sub: &section{name: "executor.shell", entries: []entry{
				{name: "shell", kind: text, def: "bash", oneOf: []string{"bash", "sh"}},
				{name: "user", kind: text, check: checkUser},
				{name: "same_user", kind: text, oneOf: []string{SameUserTrusted}},
				{name: "metadata", kind: text, def: MetadataRefuse, oneOf: []string{MetadataRefuse, MetadataAllow}},
				{name: "builds_dir", kind: text, check: checkPath},
				{name: "cache_dir", kind: text, check: checkPath},
				{name: "grace", kind: duration, def: "10s", min: minGrace, max: maxGrace},
			}}},
		}}},
		{name: "policy", kind: subsection, sub: policySection()},
		{name: "role", kind: sections, sub: ruleSection()},
	}}
}

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
