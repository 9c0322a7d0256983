package proof

// This file compares GitLab's answers with the payload. It promises that each
// refusal names both sides: what the job claims and what GitLab says.

import (
	"errors"
	"fmt"

	"envrole/executor/job"
	"envrole/roles/fault"
)

const opProve = "prove the job's environment"

const (
	helpClaim = "The environment comes from `environment:` in the job's YAML alone. Remove CI_ENVIRONMENT_NAME and " +
		"CI_ENVIRONMENT_SLUG wherever they are set by hand: project, group and instance variables, `variables:` in " +
		".gitlab-ci.yml, pipeline variables, dotenv artifacts."
	helpIDs = "The payload and GitLab's answer belong to different jobs. Check that [gitlab] url is the GitLab " +
		"that this runner is registered with."
)

func refuse(help, format string, args ...any) error {
	return fault.New(fault.Refused, opProve, "", fmt.Errorf(format, args...), help)
}

// check refuses a subject of which there is nothing to ask.
func (s Subject) check() error {
	switch {
	case s.ClaimedName == "":
		return refuse(helpClaim, "no environment is claimed")
	case s.JobID <= 0 || s.ProjectID <= 0:
		return fault.New(fault.Internal, opProve, "", errors.New("job or project id unknown"), "")
	case !headerSafe(s.Token.Reveal()):
		return refuse(helpIDs, "the payload's job token is empty or holds characters that no token has")
	}
	return nil
}

// matches refuses an answer about another job, and a job whose environment is
// not the claimed one.
func (a jobAnswer) matches(s Subject) error {
	for _, id := range []struct {
		what          string
		payload, said int64
		mayBeUnknown  bool
	}{
		{"job", s.JobID, a.jobID, false},
		{"project", s.ProjectID, a.projectID, false},
		{"pipeline", s.PipelineID, a.pipelineID, true},
		{"user", s.UserID, a.userID, true},
	} {
		if id.payload == 0 && id.mayBeUnknown {
			continue
		}
		if id.payload != id.said {
			return refuse(helpIDs, "the payload names %s %d, but GitLab says that its token belongs to %s %d",
				id.what, id.payload, id.what, id.said)
		}
	}
	if !a.hasEnvironment {
		return refuse(helpClaim, "the job claims environment %s, but GitLab says that job %d has no environment",
			job.Quote(s.ClaimedName), s.JobID)
	}
	if s.ClaimedSlug != "" && s.ClaimedSlug != a.slug {
		return refuse(helpClaim, "the job claims environment slug %s, but GitLab says that its environment has slug %s",
			job.Quote(s.ClaimedSlug), job.Quote(a.slug))
	}
	return nil
}

// parseEnvironments takes the one record of the claimed name out of an answer.
func parseEnvironments(body []byte, claimed string) (environment, error) {
	records, err := parseRecords(body)
	if err != nil {
		return environment{}, unknownShape(environmentsEndpoint, err)
	}
	switch {
	case len(records) == 0:
		return environment{}, refuse(helpClaim,
			"the job claims environment %s, but GitLab says that the project has none of that name", job.Quote(claimed))
	case len(records) > 1:
		return environment{}, unknownShape(environmentsEndpoint,
			fmt.Errorf("%d environments for the one name %s", len(records), job.Quote(claimed)))
	case records[0].name != claimed:
		return environment{}, unknownShape(environmentsEndpoint,
			fmt.Errorf("asked for environment %s, the answer is about %s", job.Quote(claimed), job.Quote(records[0].name)))
	}
	return records[0], nil
}

// matches refuses a record that is not the job's environment, and gives the
// stored tier.
func (e environment) matches(s Subject, a jobAnswer) (string, error) {
	if e.slug != a.slug {
		return "", refuse(helpClaim, "the job claims environment %s, whose slug is %s, but GitLab says that the job's environment has slug %s",
			job.Quote(s.ClaimedName), job.Quote(e.slug), job.Quote(a.slug))
	}
	if e.tier != "" && a.tier != "" && e.tier != a.tier {
		return "", refuse("The environment's tier was probably changed this very moment: run the job again.",
			"GitLab says that environment %s has tier %s, and that the job's has tier %s", job.Quote(e.name), e.tier, a.tier)
	}
	if a.tier != "" {
		return a.tier, nil
	}
	return e.tier, nil
}

// unknownShape refuses an answer that is not understood: no guess is safe.
func unknownShape(e endpoint, err error) error {
	return fault.New(fault.Refused, opProve, "", fmt.Errorf("unexpected answer of GitLab to %s: %w", e.shown, err),
		"Expected "+e.expects+". Check that [gitlab] url is GitLab's address; "+
			"otherwise this version of GitLab is possibly not supported (EnvRole knows 16.2 to 19).")
}
