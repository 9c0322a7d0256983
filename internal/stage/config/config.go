// Package config is the config stage: it names the driver, chooses the job's
// directories, and makes the lease id and the job key for the later stages.
// It decides nothing and asks nobody.
package config

import (
	"context"
	"encoding/json"
	"fmt"

	"envrole/executor/job"
	"envrole/executor/shell"
	"envrole/internal/stage"
	"envrole/internal/version"
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
	BuildsDir         string            `json:"builds_dir"`
	CacheDir          string            `json:"cache_dir"`
	BuildsDirIsShared bool              `json:"builds_dir_is_shared"`
	Shell             string            `json:"shell"`
	JobEnv            map[string]string `json:"job_env"`
}

type driver struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func run(_ context.Context, call stage.Call) error {
	conf, err := stage.LoadSettings(call)
	if err != nil {
		return err
	}
	payload, err := job.ReadPayload(call.Runner.PayloadFile)
	if err != nil {
		return err
	}
	facts, err := stage.Facts(payload, conf)
	if err != nil {
		return err
	}
	id, err := lease.NewID()
	if err != nil {
		return err
	}
	plan, err := stage.ShellPlan(conf, facts, id)
	if err != nil {
		return err
	}
	key, err := seal.NewKey()
	if err != nil {
		return err
	}
	return write(call, conf, plan, id, key)
}

func write(call stage.Call, conf *settings.Settings, plan shell.Plan, id string, key seal.Key) error {
	out := output{
		Driver:    driver{Name: "envrole/" + conf.Executor.Base, Version: version.String()},
		BuildsDir: plan.BuildsDir, CacheDir: plan.CacheDir,
		// The runner then adds its own token and slot below it, so that two
		// jobs of one project never share a checkout at the same time.
		BuildsDirIsShared: true,
		// The runner writes scripts for bash or pwsh; its bash scripts run
		// under sh too, and it picks the interpreter in the shebang itself.
		Shell: conf.Executor.Shell.Shell,
		JobEnv: map[string]string{
			stage.EnvLease: id,
			stage.EnvKey:   key.Encode(),
			stage.EnvState: conf.State.Dir,
			stage.EnvOwner: lease.EncodeChain(lease.Ancestors()),
		},
	}
	if err := json.NewEncoder(call.Stdout).Encode(out); err != nil {
		return fmt.Errorf("write the job's settings: %w", err)
	}
	return nil
}
