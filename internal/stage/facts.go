package stage

import (
	"envrole/executor/job"
	"envrole/executor/shell"
	"envrole/roles"
	"envrole/roles/fault"
	"envrole/roles/settings"
)

// LoadSettings reads the configuration; a bad one is the administrator's to mend.
func LoadSettings(call Call) (*settings.Settings, error) {
	conf, err := settings.Load(call.ConfigFile)
	if err != nil {
		return nil, fault.New(fault.Permanent, "load configuration", "", err,
			"The runner's administrator mends the file; `envrole check` shows the same list.")
	}
	return conf, nil
}

// Facts is what the payload's structured fields say.
func Facts(payload *job.Payload, conf *settings.Settings) (roles.Facts, error) {
	return payload.Facts(job.FactOptions{LegacyRefProtected: conf.GitLab.LegacyRefProtected, GitLabURL: conf.GitLab.URL})
}

// ShellPlan is how the shell base runs a job of these facts.
func ShellPlan(conf *settings.Settings, facts roles.Facts, leaseID string) (shell.Plan, error) {
	return shell.NewPlan(shell.Options{
		Settings: conf.Executor.Shell, PassEnv: conf.Executor.PassEnv,
		ProjectID: facts.ProjectID, RefProtected: facts.RefProtected, LeaseID: leaseID,
	})
}
