package roles

import (
	"slices"
	"strings"
	"unicode"
)

// Check gives everything wrong with the rule itself, in the order of its keys.
// It wants the session's defaults merged in; settings that are still empty
// (Duration 0, Region "", Revoke "" ...) are not complained of. What only shows
// between rules is Review's.
func (r *Rule) Check() []RuleProblem {
	var p problems
	r.checkName(&p)
	r.checkPatterns(&p)
	r.checkProjects(&p)
	r.checkWords(&p)
	r.checkSubStages(&p)
	r.checkProof(&p)
	r.Grant.check(&p)
	r.checkSlugs(&p)
	return p
}

// maxName is the longest rule name in bytes: it stands in every log line.
const maxName = 128

func (r *Rule) checkName(p *problems) {
	switch {
	case strings.TrimSpace(r.Name) == "":
		p.errorf("name", "the rule has no name")
	case len(r.Name) > maxName:
		p.errorf("name", "the name has %d bytes; %d is the most", len(r.Name), maxName)
	case strings.ContainsFunc(r.Name, func(c rune) bool { return !unicode.IsPrint(c) }):
		p.errorf("name", "the name %s holds characters that cannot be printed", quote(r.Name))
	}
}

func (r *Rule) checkPatterns(p *problems) {
	for _, l := range []struct {
		key      string
		patterns []Pattern
	}{
		{"environments", r.Environments},
		{"projects", r.Projects},
		{"tiers", r.Tiers},
		{"refs", r.Refs},
		{"tag_refs", r.TagRefs},
		{"jobs", r.Jobs},
		{"actions", r.Actions},
		{"sources", r.Sources},
		{"users", r.Users},
		{"user_access_levels", r.UserAccessLevels},
		{"ci_config", r.CIConfig},
	} {
		for _, pattern := range l.patterns {
			p.fail(l.key, pattern.Validate())
		}
	}
	if len(r.Environments) == 0 {
		p.errorf("environments", "the rule names no environment; it matches nothing")
	}
}

func (r *Rule) checkProjects(p *problems) {
	if len(r.Projects) == 0 && len(r.ProjectIDs) == 0 {
		p.errorf("projects", "the rule names no project; give projects or project_ids")
	}
	for _, pattern := range r.Projects {
		s := string(pattern)
		if strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") || !strings.ContainsAny(s, "/*") && s != "" {
			p.errorf("projects", "%s matches no project; a full path looks like \"group/project\"", quote(s))
		}
	}
	for _, id := range r.ProjectIDs {
		if id <= 0 {
			p.errorf("project_ids", "%d is no project id", id)
		}
	}
}

// knownActions are the values of environment:action in GitLab's job syntax.
func knownActions() []string {
	return []string{"start", "prepare", "stop", "verify", "access"}
}

// knownSources are the values of CI_PIPELINE_SOURCE; newer servers may add some.
func knownSources() []string {
	return []string{
		"push", "web", "trigger", "schedule", "api", "external", "pipeline", "chat", "webide",
		"merge_request_event", "external_pull_request_event", "parent_pipeline",
		"ondemand_dast_scan", "ondemand_dast_validation", "security_orchestration_policy",
		"container_registry_push", "duo_workflow", "pipeline_execution_policy_schedule", "unknown",
	}
}

// checkWords looks at the conditions whose values GitLab defines.
func (r *Rule) checkWords(p *problems) {
	for _, t := range noneOf(r.Tiers, knownTiers()) {
		p.errorf("tiers", "%s is no tier; there are %s", quote(t), list(knownTiers()))
	}
	for _, a := range noneOf(r.Actions, knownActions()) {
		p.errorf("actions", "%s is no environment action; there are %s", quote(a), list(knownActions()))
	}
	for _, s := range noneOf(r.Sources, knownSources()) {
		p.warnf("sources", "%s is no pipeline source that EnvRole knows", quote(s))
	}
}

// noneOf gives the patterns that match none of the known words.
func noneOf(patterns []Pattern, known []string) []string {
	var out []string
	for _, p := range patterns {
		if p != "" && !slices.ContainsFunc(known, p.Match) {
			out = append(out, string(p))
		}
	}
	return out
}

// knownSubStages are GitLab Runner's, besides those with the author's commands.
func knownSubStages() []string {
	return []string{
		"prepare_script", "get_sources", "clear_worktree", "restore_cache", "download_artifacts",
		"archive_cache", "archive_cache_on_failure",
		"upload_artifacts_on_success", "upload_artifacts_on_failure", "cleanup_file_variables",
	}
}

func (r *Rule) checkSubStages(p *problems) {
	for _, s := range r.SubStages {
		switch {
		case slices.Contains(knownSubStages(), s):
		case s == "build_script" || s == "after_script" || strings.HasPrefix(s, "step_"):
			p.warnf("sub_stages", "%s gets the credentials anyway", quote(s))
		default:
			p.errorf("sub_stages", "%s is no sub-stage of GitLab Runner; there are %s",
				quote(s), strings.Join(knownSubStages(), ", "))
		}
	}
}
