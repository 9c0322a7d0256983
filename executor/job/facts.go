package job

// This file turns a payload into facts. It promises that nothing an author can
// write becomes a fact with another provenance than roles.Author, and that the
// environment stays absent: only package proof fills it.

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"envrole/roles"
	"envrole/roles/fault"
)

// FactOptions is what the configuration says about reading payloads.
type FactOptions struct {
	// GitLabURL is [gitlab] url: its path is what precedes project paths in
	// repository URLs, and it begins the job's URL.
	GitLabURL string
	// LegacyRefProtected is [gitlab] legacy_ref_protected: where the payload
	// lacks git_info.protected, CI_COMMIT_REF_PROTECTED is believed, if every
	// occurrence is "true".
	LegacyRefProtected bool
}

// Facts gives what GitLab says of the job in the payload's structured fields,
// and the author's word on job name, environment action and pipeline source.
// Environment, tier, slug and user login stay absent. Fields of the payload
// that contradict each other are a refusal.
func (p *Payload) Facts(opts FactOptions) (roles.Facts, error) {
	path, err := p.projectPath(opts.GitLabURL)
	if err != nil {
		return roles.Facts{}, fault.New(fault.Refused, "find the job's project", "", err,
			"Check that [gitlab] url is GitLab's address as users see it, path prefix included.")
	}
	f := roles.Facts{
		JobID:        p.ID,
		ProjectID:    p.Job.ProjectID,
		PipelineID:   p.Job.PipelineID,
		UserID:       p.Job.UserID,
		ProjectPath:  roles.Fact{Value: path, From: roles.Payload},
		RefProtected: p.refProtected(opts.LegacyRefProtected),
		MergeRequest: p.mergeRequest(),
		JobName:      said(p.Job.Name),
		Action:       p.authorsWord(actionVariable),
		Source:       p.authorsWord(sourceVariable),
		JobURL:       fmt.Sprintf("%s/%s/-/jobs/%d", strings.TrimRight(opts.GitLabURL, "/"), path, p.ID),
	}
	f.RefProtectionUnsaid = p.Git.Protected == nil && !opts.LegacyRefProtected
	// A ref of an unknown type stays absent: no condition on refs may hold by
	// mistaking something new for a branch.
	if p.Git.Ref != "" && (p.Git.RefType == "branch" || p.Git.RefType == "tag") {
		f.Ref = roles.Fact{Value: p.Git.Ref, From: roles.Payload}
		f.Tag = p.Git.RefType == "tag"
	}
	return f, nil
}

// authorsWord is the variable's value, absent where two occurrences differ.
func (p *Payload) authorsWord(key string) roles.Fact {
	all := distinct(p.values(key))
	if len(all) != 1 {
		return roles.Fact{}
	}
	return said(all[0])
}

func said(text string) roles.Fact {
	if text == "" {
		return roles.Fact{}
	}
	return roles.Fact{Value: text, From: roles.Author}
}

// refProtected believes git_info.protected alone; the variable only where the
// field is missing and the administrator wrote out that it may be believed.
func (p *Payload) refProtected(legacy bool) bool {
	if p.Git.Protected != nil {
		return *p.Git.Protected
	}
	if !legacy {
		return false
	}
	all := distinct(p.values(protectedVariable))
	return len(all) == 1 && all[0] == "true"
}

// mergeRequest errs to true: it can only take rules away. The variables are
// looked at because the oldest kind of merge-request pipeline has a branch as
// its ref.
func (p *Payload) mergeRequest() bool {
	if roles.IsMergeRequestRef(p.Git.Ref) {
		return true
	}
	for _, spec := range p.Git.Refspecs {
		if strings.Contains(spec, "refs/merge-requests/") {
			return true
		}
	}
	for _, v := range p.Variables {
		switch {
		case v.Key == mergeRequestID, v.Key == mergeRequestIID:
			return true
		case v.Key == sourceVariable && v.Value == "merge_request_event":
			return true
		}
	}
	return false
}

// projectPath is job_info.project_full_path, or for older runners the path in
// git_info.repo_url: GitLab writes both, and no variable reaches either.
func (p *Payload) projectPath(gitlabURL string) (string, error) {
	full := p.Job.ProjectFullPath
	if full != "" {
		if err := validProjectPath(full); err != nil {
			return "", fmt.Errorf("job_info.project_full_path: %w", err)
		}
	}
	repo, err := repoPath(p.Git.RepoURL)
	if err != nil {
		return "", fmt.Errorf("git_info.repo_url: %w", err)
	}
	if full != "" {
		// GitLab may serve clones below a path of its own, so only the end of
		// the path is sure; as a cross-check that is enough.
		if repo != full && !strings.HasSuffix(repo, "/"+full) {
			return "", fmt.Errorf("job_info.project_full_path is %s, but git_info.repo_url ends in %s", Quote(full), Quote(repo))
		}
		return full, nil
	}
	prefix, err := pathPrefix(gitlabURL)
	if err != nil {
		return "", err
	}
	path, ok := strings.CutPrefix("/"+repo, prefix+"/")
	if !ok {
		return "", fmt.Errorf("git_info.repo_url has the path %s, which does not start with the %s of gitlab.url",
			Quote("/"+repo), Quote(prefix))
	}
	if err := validProjectPath(path); err != nil {
		return "", fmt.Errorf("git_info.repo_url: %w", err)
	}
	return path, nil
}

// pathPrefix is the path of GitLab's URL without a slash at its end: "/gitlab", or "".
func pathPrefix(gitlabURL string) (string, error) {
	u, err := url.Parse(gitlabURL)
	if err != nil {
		return "", errors.New("gitlab.url is not a URL")
	}
	return strings.TrimRight(u.Path, "/"), nil
}
