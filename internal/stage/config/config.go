// Package config is the config stage: it names the driver, chooses the job's
// directories, and makes the lease id and the job key for the later stages.
// It decides nothing and asks nobody.
package config

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"envrole/executor"
	"envrole/executor/job"
	"envrole/internal/stage"
	"envrole/internal/stage/setup"
	"envrole/internal/version"
	"envrole/roles/fault"
	"envrole/roles/lease"
	"envrole/roles/seal"
	"envrole/roles/settings"
)

// Stage describes the program.
func Stage() stage.Stage {
	return stage.Stage{
		Name:  "envrole-config",
		About: "The config stage of EnvRole, a GitLab Runner custom executor driver.\nGitLab Runner calls it (config_exec in [runners.custom]); it prints the job's settings as JSON.",
		Run:   run,
	}
}

// output is the JSON that the runner reads from config_exec; it ignores keys
// that it does not know. Source: GitLab Runner, "Custom executor", section Config.
type output struct {
	Driver            driver            `json:"driver"`
	Hostname          string            `json:"hostname,omitempty"`
	BuildsDir         string            `json:"builds_dir,omitempty"`
	CacheDir          string            `json:"cache_dir,omitempty"`
	BuildsDirIsShared *bool             `json:"builds_dir_is_shared,omitempty"`
	Shell             string            `json:"shell,omitempty"`
	JobEnv            map[string]string `json:"job_env"`
}

type driver struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func run(ctx context.Context, call stage.Call) error {
	conf, err := setup.Settings(call)
	if err != nil {
		return err
	}
	payload, err := job.ReadPayload(call.Runner.PayloadFile)
	if err != nil {
		return err
	}
	facts, err := setup.Facts(payload, conf)
	if err != nil {
		return err
	}
	id, err := lease.NewID()
	if err != nil {
		return err
	}
	base, err := call.Known().Named(conf.Executor.Base)
	if err != nil {
		return err
	}
	said, err := base.Announce(ctx, setup.BaseJob(call, conf, facts, id), call.Stderr)
	if err != nil {
		return err
	}
	key, err := seal.NewKey()
	if err != nil {
		return err
	}
	return write(call, conf, said, id, key)
}

func write(call stage.Call, conf *settings.Settings, said executor.Announcement, id string, key seal.Key) error {
	out := output{
		Driver:   driver{Name: "envrole/" + conf.Executor.Base, Version: version.String()},
		Hostname: said.Hostname, BuildsDir: said.BuildsDir, CacheDir: said.CacheDir,
		BuildsDirIsShared: said.BuildsDirIsShared, Shell: said.Shell,
		JobEnv: map[string]string{},
	}
	if said.Driver != "" {
		out.Driver.Name += " " + said.Driver
	}
	if said.DriverVersion != "" {
		out.Driver.Version += ", " + said.DriverVersion
	}
	for name, value := range said.JobEnv {
		if strings.HasPrefix(name, ownPrefix) {
			return fault.New(fault.Permanent, "merge job_env of", "executor.base = "+conf.Executor.Base,
				fmt.Errorf("%q: names that begin with %s are EnvRole's own", name, ownPrefix), "Administrator: give the variable another name.")
		}
		out.JobEnv[name] = value
	}
	out.JobEnv[stage.EnvLease] = id
	out.JobEnv[stage.EnvKey] = key.Encode()
	out.JobEnv[stage.EnvState] = conf.State.Dir
	out.JobEnv[stage.EnvOwner] = lease.EncodeChain(lease.Ancestors())
	if err := json.NewEncoder(call.Stdout).Encode(out); err != nil {
		return fmt.Errorf("write the job's settings: %w", err)
	}
	return nil
}

// ownPrefix begins the names of what EnvRole hands on to its own stages.
const ownPrefix = "ENVROLE_"
