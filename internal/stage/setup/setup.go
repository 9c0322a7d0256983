// Package setup reads what a job's decision is made from: the configuration and
// the payload. It is apart from package stage because the run stage, which
// decides nothing and starts most often, links neither.
package setup

import (
	"path/filepath"

	"envrole/executor"
	"envrole/executor/job"
	"envrole/internal/stage"
	"envrole/roles"
	"envrole/roles/fault"
	"envrole/roles/settings"
)

// Settings reads the configuration; a bad one is the administrator's to mend.
func Settings(call stage.Call) (*settings.Settings, error) {
	conf, err := settings.Load(call.ConfigFile, call.Known().Tables())
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

// BaseJob is what the configured base is told of a job of these facts.
func BaseJob(call stage.Call, conf *settings.Settings, facts roles.Facts, leaseID string) executor.Job {
	private := []string{conf.File}
	if file, err := filepath.Abs(conf.File); err == nil {
		private = []string{file}
	}
	return executor.Job{
		LeaseID: leaseID, JobID: facts.JobID, ProjectID: facts.ProjectID, RefProtected: facts.RefProtected,
		PayloadFile: call.Runner.PayloadFile, StateDir: conf.State.Dir,
		Values: conf.Executor.Table(), PassEnv: conf.Executor.PassEnv,
		Private: private,
	}
}
