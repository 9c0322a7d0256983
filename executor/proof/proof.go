// Package proof asks GitLab which environment a job really has.
//
// What it promises: an environment comes out of Prove only if GitLab, asked
// with the job's own token, confirmed it twice over: the job is the payload's
// and has an environment with this slug, and the project has exactly one
// environment of the claimed name, with that same slug. GitLab keeps slugs
// unique within a project, so no other name can stand behind them. Whatever
// GitLab's answers do not say plainly is a refusal. The token leaves the
// package in one request header, and is in no URL and no error.
package proof

import (
	"context"
	"fmt"

	"envrole/executor/job"
	"envrole/roles"
	"envrole/roles/seal"
)

// Subject is the job whose environment is to be proven. PipelineID and UserID
// are 0 where the payload does not say them; the other ids never are.
type Subject struct {
	JobID, ProjectID, PipelineID, UserID int64

	Token seal.Secret // the job's token
	// ClaimedName and ClaimedSlug are what the payload's variables say; an
	// empty slug claims nothing, without a name there is nothing to prove.
	ClaimedName, ClaimedSlug string
}

// SubjectOf takes a subject from a payload and its linted claims.
func SubjectOf(p *job.Payload, c job.Claims) Subject {
	return Subject{
		JobID: p.ID, ProjectID: p.Job.ProjectID, PipelineID: p.Job.PipelineID, UserID: p.Job.UserID,
		Token: p.Token, ClaimedName: c.Name(), ClaimedSlug: c.Slug(),
	}
}

// Proof is what GitLab said.
type Proof struct {
	Environment string // the name, as stored
	Slug        string
	Tier        string // stored tier, "" if GitLab does not say
	UserLogin   string
	UserID      int64
	PipelineID  int64
	Calls       int // HTTP requests sent, retries included
}

// Prove asks GitLab for the job's environment: two calls, or one if the first
// answer already refutes the claim. Refusals name what was claimed and what
// GitLab says; a GitLab that cannot be reached within the client's timeout is a
// passing fault. Proof.Calls is right even with an error.
//
// The two answers are moments apart. Only a user who may delete the job's
// environment and make the claimed one in between, while the claimed one did
// not exist before and has the same slug, could fit them together: a user, that
// is, who can make the claimed environment anyway. For an environment that
// exists already there is no such moment.
func (c *Client) Prove(ctx context.Context, s Subject) (Proof, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	defer c.transport.CloseIdleConnections()
	var p Proof
	if err := s.check(); err != nil {
		return p, err
	}
	body, err := c.get(ctx, jobEndpoint, "/job/allowed_agents", nil, s.Token, &p.Calls)
	if err != nil {
		return p, err
	}
	said, err := parseJobAnswer(body)
	if err != nil {
		return p, unknownShape(jobEndpoint, err)
	}
	if err := said.matches(s); err != nil {
		return p, err
	}

	path := fmt.Sprintf("/projects/%d/environments", s.ProjectID)
	body, err = c.get(ctx, environmentsEndpoint, path, query{"name": {s.ClaimedName}}, s.Token, &p.Calls)
	if err != nil {
		return p, err
	}
	record, err := parseEnvironments(body, s.ClaimedName)
	if err != nil {
		return p, err
	}
	tier, err := record.matches(s, said)
	if err != nil {
		return p, err
	}
	p.Environment, p.Slug, p.Tier = record.name, record.slug, tier
	p.UserLogin, p.UserID, p.PipelineID = said.username, said.userID, said.pipelineID
	return p, nil
}

// Apply gives the facts with GitLab's answer in them: environment, slug, tier
// and user as GitLab's word, and the ids that an old payload lacks.
func Apply(f roles.Facts, p Proof) roles.Facts {
	f.Environment = answered(p.Environment)
	f.EnvironmentSlug = answered(p.Slug)
	f.Tier = answered(p.Tier)
	f.UserLogin = answered(p.UserLogin)
	if f.PipelineID == 0 {
		f.PipelineID = p.PipelineID
	}
	if f.UserID == 0 {
		f.UserID = p.UserID
	}
	return f
}

func answered(text string) roles.Fact {
	if text == "" {
		return roles.Fact{}
	}
	return roles.Fact{Value: text, From: roles.GitLabAPI}
}
