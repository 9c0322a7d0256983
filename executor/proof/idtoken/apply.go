package idtoken

// This file turns a verified token into facts.

import "envrole/roles"

// Apply gives the facts with the token's claims in them. What GitLab's API has
// said already must be the same, and counts as said by both; a contradiction is
// a refusal. A tier that GitLab's API has said stays; any other is the author's
// word, which the token merely repeats.
func Apply(f roles.Facts, p Proof) (roles.Facts, error) {
	for _, both := range []struct {
		what, token string
		fact        *roles.Fact
	}{
		{"environment", p.Environment, &f.Environment},
		{"user", p.UserLogin, &f.UserLogin},
	} {
		if both.fact.From == roles.GitLabAPI && both.fact.Value != both.token {
			return f, refuse("Run the job again: something was changed in GitLab this very moment, or [gitlab] url is not this runner's GitLab.",
				"GitLab's API says %s %q, the ID token %q", both.what, both.fact.Value, both.token)
		}
		*both.fact = signed(both.token, both.fact.From)
	}
	if f.EnvironmentSlug.From < roles.GitLabAPI {
		f.EnvironmentSlug = signed(p.Slug, roles.Absent)
	}
	if f.Tier.From < roles.GitLabAPI {
		f.Tier = roles.Fact{}
		if p.Tier != "" {
			f.Tier.Value, f.Tier.From = p.Tier, roles.Author
		}
	}
	f.EnvironmentProtected = signed(p.EnvironmentProtected, roles.Absent)
	f.CIConfig = signed(p.Config, roles.Absent)
	f.Source = signed(p.Source, roles.Absent)
	f.RefProtected, f.RefProtectionUnsaid = p.RefProtected, false
	f.ProjectPath = signed(f.ProjectPath.Value, f.ProjectPath.From)
	f.PipelineID, f.UserID, f.IDsFrom = p.PipelineID, p.UserID, roles.IDToken
	if !roles.IsMergeRequestRef(f.Ref.Value) && f.Ref.Known() {
		f.Ref = signed(f.Ref.Value, f.Ref.From)
	}
	f.UserAccessLevel = roles.Fact{}
	f.MergeRequest = f.MergeRequest || p.Fork() || p.Source == sourceMergeRequest
	if !p.Fork() { // there the level is the user's in the fork, which is their own
		f.UserAccessLevel = signed(p.AccessLevel, roles.Absent)
	}
	return f, nil
}

// sourceMergeRequest is what GitLab calls the source of a merge request's pipeline.
const sourceMergeRequest = "merge_request_event"

func signed(text string, before roles.Provenance) roles.Fact {
	switch {
	case text == "":
		return roles.Fact{}
	case before == roles.GitLabAPI:
		return roles.Fact{Value: text, From: roles.IDTokenAndAPI}
	}
	return roles.Fact{Value: text, From: roles.IDToken}
}
