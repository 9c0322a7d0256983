package idtoken

// This file compares a token with the payload. It promises that whatever both
// say must be the same.

import (
	"net/url"
	"strings"

	"envrole/executor/job"
	"envrole/roles"
)

// matches refuses a token about another job, and a job whose environment is not
// the claimed one.
func (c Claims) matches(s Subject) error {
	for _, id := range []struct {
		what           string
		payload, token int64
		mayBeUnknown   bool
	}{
		{"job", s.JobID, c.JobID, false},
		{"project", s.ProjectID, c.ProjectID, false},
		{"pipeline", s.PipelineID, c.PipelineID, true},
		{"user", s.UserID, c.UserID, true},
	} {
		if id.payload == 0 && id.mayBeUnknown {
			continue
		}
		if id.payload != id.token {
			return refuse(helpOther, "the payload names %s %d, but the ID token belongs to %s %d", id.what, id.payload, id.what, id.token)
		}
	}
	if s.ProjectPath != "" && s.ProjectPath != c.ProjectPath {
		return refuse("If the project was just renamed or moved, run the job again.",
			"the payload names project %s, but the ID token says %s", job.Quote(s.ProjectPath), job.Quote(c.ProjectPath))
	}
	if err := c.refMatches(s); err != nil {
		return err
	}
	switch {
	case c.Environment == "":
		return refuse(helpClaim, "the job claims environment %s, but its ID token says that it has none", job.Quote(s.ClaimedName))
	case c.Environment != s.ClaimedName:
		return refuse(helpClaim, "the job claims environment %s, but its ID token says %s", job.Quote(s.ClaimedName), job.Quote(c.Environment))
	}
	return nil
}

// refMatches: for a merge request the token names the source branch, the payload
// a ref of the merge request, so only the other pipelines can be compared.
func (c Claims) refMatches(s Subject) error {
	tag := c.RefType == "tag"
	switch {
	case s.Protected != nil && *s.Protected != c.RefProtected:
		return refuse(helpOther, "payload and ID token do not agree on whether the ref is protected")
	case s.Ref == "" || roles.IsMergeRequestRef(s.Ref):
		return nil
	case s.Ref != c.Ref || s.Tag != tag:
		return refuse(helpOther, "the payload names ref %s, but the ID token says %s", job.Quote(s.Ref), job.Quote(c.Ref))
	}
	return nil
}

// slugOf is the slug that GitLab gives an environment of this name. Very old
// environments have another; which one, the token does not say. A slug made up
// for one of them could be a newer environment's own.
func slugOf(c Claims, s Subject) string {
	slug := roles.EnvironmentSlug(c.Environment)
	if s.ClaimedSlug != "" && s.ClaimedSlug != slug {
		return ""
	}
	return slug
}

// configOf is where the pipeline's configuration lies, without the instance's
// own host and path; "" where GitLab does not say it in the expected form.
//
// For a fork's merge request GitLab names the project that runs, but the
// fork's branch: a branch called main there would read as the project's own.
func configOf(c Claims, issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil || c.Fork() {
		return ""
	}
	host := u.Hostname()
	if port := u.Port(); port != "" && port != "443" && port != "80" {
		host = u.Host
	}
	config, ok := strings.CutPrefix(c.Config, host+strings.TrimRight(u.Path, "/")+"/")
	if !ok {
		return ""
	}
	return config
}
