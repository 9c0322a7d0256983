package fakegitlab

import (
	"encoding/json"
	"fmt"
)

// AddFromPayload adds the job of a payload (the runner's JOB_RESPONSE_FILE) with
// the facts of the allowed_agents answer that belongs to it, and gives it back.
//
// If the job has an environment, a record for it is added too. Its name is not
// in the answer: it is the last CI_ENVIRONMENT_NAME of the payload whose slug is
// the answer's. Where no claim is true (a job whose variables lie) no record is
// added; AddEnvironment does it.
func (s *Server) AddFromPayload(jobJSON, allowedAgentsJSON []byte) (Job, error) {
	var payload struct {
		ID        int64  `json:"id"`
		Token     string `json:"token"`
		Variables []struct {
			Key   string `json:"key"`
			Value string `json:"value"`
		} `json:"variables"`
	}
	if err := json.Unmarshal(jobJSON, &payload); err != nil {
		return Job{}, fmt.Errorf("fake gitlab: job payload: %w", err)
	}
	var a allowedAgents
	if err := json.Unmarshal(allowedAgentsJSON, &a); err != nil {
		return Job{}, fmt.Errorf("fake gitlab: allowed_agents: %w", err)
	}
	if payload.ID != a.Job.ID || payload.Token == "" {
		return Job{}, fmt.Errorf("fake gitlab: payload of job %d and answer for job %d do not belong together", payload.ID, a.Job.ID)
	}
	j := Job{
		ID: payload.ID, Token: payload.Token, ProjectID: a.Project.ID, PipelineID: a.Pipeline.ID,
		UserID: a.User.ID, Username: a.User.Username, Roles: a.User.RolesInProject,
	}
	for _, g := range a.Project.Groups {
		j.GroupIDs = append(j.GroupIDs, g.ID)
	}
	if a.Environment != nil {
		j.Environment = &JobEnvironment{Slug: a.Environment.Slug, Tier: a.Environment.Tier}
	}
	s.AddJob(j)
	if a.Environment == nil {
		return j, nil
	}
	name := ""
	for _, v := range payload.Variables {
		if v.Key == "CI_ENVIRONMENT_NAME" && Slug(v.Value) == a.Environment.Slug {
			name = v.Value
		}
	}
	if name != "" {
		s.AddEnvironment(j.ProjectID, Environment{Name: name, Slug: a.Environment.Slug, Tier: a.Environment.Tier})
	}
	return j, nil
}
