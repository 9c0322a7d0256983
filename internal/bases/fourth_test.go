package bases_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"envrole/executor"
	"envrole/roles"
	"envrole/roles/settings/schema"
)

// fourth is a base executor as a stranger would write one: this file is its
// folder, and `append(bases.Lean(), fourth{})` its line. It runs scripts with a
// shell and greets whoever reads the log.
type fourth struct{}

type fourthPlan struct {
	Greeting string `json:"greeting"`
	Lease    string `json:"lease"`
	Dir      string `json:"dir"`
}

var _ executor.Base = fourth{}

func (fourth) Table() schema.Table {
	return schema.Table{
		Name: "fourth", Deliveries: []string{roles.DeliveryEnv},
		Keys: []schema.Key{{Name: "greeting", Kind: schema.Text, Default: "hello"}, {Name: "dir", Kind: schema.Text}},
	}
}

func (fourth) Announce(_ context.Context, job executor.Job, log io.Writer) (executor.Announcement, error) {
	_, err := fmt.Fprintln(log, "fourth announces", job.JobID)
	return executor.Announcement{Driver: "of the test", BuildsDir: "/b", JobEnv: map[string]string{"FOURTH": "4"}}, err
}

func (fourth) Plan(_ context.Context, job executor.Job) (json.RawMessage, error) {
	return json.Marshal(fourthPlan{job.Values.Text("greeting"), job.LeaseID, job.Values.Text("dir")})
}

var errMayNot = errors.New("the fourth base says no")

func (fourth) MayLend(_ context.Context, _ executor.Job, plan json.RawMessage, authority []string) error {
	var p fourthPlan
	if err := json.Unmarshal(plan, &p); err != nil || p.Greeting == "no" || len(authority) == 0 {
		return errors.Join(err, errMayNot)
	}
	return nil
}

func (fourth) Open(plan json.RawMessage) (executor.Executor, error) {
	var p fourthPlan
	err := json.Unmarshal(plan, &p)
	return p, err
}

func (f fourth) Lost(job executor.Job) (executor.Executor, error) {
	return fourthPlan{"lost", job.LeaseID, job.Values.Text("dir")}, nil
}

func (p fourthPlan) mark(stage string) error {
	return os.WriteFile(filepath.Join(p.Dir, stage), []byte(p.Greeting+" "+p.Lease), 0o600)
}

func (p fourthPlan) Prepare(_ context.Context, log io.Writer) error {
	fmt.Fprintln(log, p.Greeting, "from prepare")
	return p.mark("prepared")
}

func (p fourthPlan) Run(ctx context.Context, script executor.Script, env []string, out io.Writer) error {
	cmd := exec.CommandContext(ctx, "sh", script.Path)
	cmd.Env = slices.Concat([]string{"PATH=" + os.Getenv("PATH"), "SUB_STAGE=" + script.SubStage}, env)
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return &executor.ExitError{Code: exit.ExitCode()}
	}
	return err
}

func (p fourthPlan) Cleanup(_ context.Context, stdout, _ io.Writer) error {
	fmt.Fprintln(stdout, p.Greeting, "from cleanup")
	return p.mark("cleaned")
}
