package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"

	"envrole/executor/docker/agent"
	"envrole/roles/fault"
)

// look says what the image of a container lacks, before a script fails on it, or
// only warns and loses what it should have kept. all asks for what the
// sub-stages need that are not the author's own.
func (e *Engine) look(ctx context.Context, a *api, container, image string, all bool, p payload, log io.Writer) error {
	names := []string{e.shell()}
	if all {
		names = append(names, "git", "gitlab-runner")
	}
	var input bytes.Buffer
	if err := agent.WriteHeader(&input, agent.Header{Env: names, Helper: true}); err != nil {
		return err
	}
	answer, err := a.ask(ctx, a.timeout, container, "", input.Bytes(), e.agentPath(), "probe")
	if err != nil {
		return fault.New(fault.Passing, "look into container", container, err, "")
	}
	var found agent.Found
	if err := json.Unmarshal(answer, &found); err != nil {
		return fault.New(fault.Internal, "look into container", container, errors.New("the agent's answer cannot be read"), "")
	}
	missing := func(name string) bool { return slices.Contains(found.Missing, name) }
	if missing(e.shell()) {
		help := "Use an image that has it"
		if e.shell() == "bash" {
			help += `, or set executor.docker.shell = "sh"`
		}
		return fault.New(fault.Permanent, "run scripts in image", image, errors.New(e.shell()+" is in no directory of its PATH"), help+".")
	}
	if missing("git") && all {
		say(log, "warning: image %s has no git: fetching the sources will fail (GIT_STRATEGY: none does without; an administrator can set executor.docker.helper_image)", image)
	}
	if missing("gitlab-runner") && all && p.uploads {
		say(log, "warning: image %s has neither gitlab-runner nor gitlab-runner-helper: this job's cache and artifacts will be LOST (an administrator can set executor.docker.helper_image)", image)
	}
	return nil
}

func (e *Engine) shell() string {
	if e.plan.Shell == "" {
		return "bash"
	}
	return e.plan.Shell
}
