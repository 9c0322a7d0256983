package fakegitlab

import "time"

// Job is a CI job as GitLab knows it.
type Job struct {
	ID         int64
	Token      string
	ProjectID  int64
	GroupIDs   []int64 // the project's groups, nearest first
	PipelineID int64
	UserID     int64
	Username   string
	// Roles is roles_in_project; nil means developer and what is below it.
	Roles []string
	// Environment is the job's stored environment, nil if it has none.
	Environment *JobEnvironment
	// Ended makes the token invalid, as it is once the job is over.
	Ended bool
}

// JobEnvironment is what allowed_agents says of an environment. An empty Tier
// is left out, as old servers do.
type JobEnvironment struct {
	Slug string
	Tier string
}

// Environment is a record of a project's environments. Zero ID, State and
// CreatedAt are filled in when it is added.
type Environment struct {
	ID        int64
	Name      string
	Slug      string
	Tier      string
	State     string
	CreatedAt time.Time
}

type idOnly struct {
	ID int64 `json:"id"`
}

// allowedAgents is the answer of GET /job/allowed_agents.
type allowedAgents struct {
	AllowedAgents []any     `json:"allowed_agents"`
	Job           idOnly    `json:"job"`
	Pipeline      idOnly    `json:"pipeline"`
	Project       project   `json:"project"`
	User          user      `json:"user"`
	Environment   *agentEnv `json:"environment,omitempty"`
}

type project struct {
	ID     int64    `json:"id"`
	Groups []idOnly `json:"groups"`
}

type user struct {
	ID             int64    `json:"id"`
	Username       string   `json:"username"`
	RolesInProject []string `json:"roles_in_project"`
}

type agentEnv struct {
	Tier string `json:"tier,omitempty"`
	Slug string `json:"slug"`
}

func (j *Job) answer() allowedAgents {
	out := allowedAgents{
		AllowedAgents: []any{}, Job: idOnly{j.ID}, Pipeline: idOnly{j.PipelineID},
		Project: project{ID: j.ProjectID, Groups: []idOnly{}},
		User:    user{ID: j.UserID, Username: j.Username, RolesInProject: j.Roles},
	}
	if j.Roles == nil {
		out.User.RolesInProject = []string{"guest", "planner", "reporter", "developer"}
	}
	for _, g := range j.GroupIDs {
		out.Project.Groups = append(out.Project.Groups, idOnly{g})
	}
	if j.Environment != nil {
		out.Environment = &agentEnv{Tier: j.Environment.Tier, Slug: j.Environment.Slug}
	}
	return out
}

// environmentRecord is one element of GET /projects/:id/environments. Fields
// that GitLab sends and nobody here reads are null, as for a plain environment.
type environmentRecord struct {
	ID                  int64   `json:"id"`
	Name                string  `json:"name"`
	Slug                string  `json:"slug"`
	ExternalURL         *string `json:"external_url"`
	CreatedAt           string  `json:"created_at"`
	UpdatedAt           string  `json:"updated_at"`
	Tier                string  `json:"tier,omitempty"`
	State               string  `json:"state"`
	AutoStopAt          *string `json:"auto_stop_at"`
	AutoStopSetting     string  `json:"auto_stop_setting"`
	Description         *string `json:"description"`
	KubernetesNamespace *string `json:"kubernetes_namespace"`
	FluxResourcePath    *string `json:"flux_resource_path"`
}

func (e *Environment) record() environmentRecord {
	at := e.CreatedAt.UTC().Format("2006-01-02T15:04:05.000Z")
	return environmentRecord{
		ID: e.ID, Name: e.Name, Slug: e.Slug, CreatedAt: at, UpdatedAt: at,
		Tier: e.Tier, State: e.State, AutoStopSetting: "always",
	}
}
