package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"

	"envrole/internal/fakecoordinator"
)

// genuineRunner runs the job under the gitlab-runner on PATH, which gets it from
// a stand-in for the coordinator, and gives the log that the runner reports.
func (w *world) genuineRunner(ctx context.Context, payload []byte) (string, error) {
	program, err := exec.LookPath("gitlab-runner")
	if err != nil {
		return "", fmt.Errorf("RUNNER=1 needs gitlab-runner on PATH: %w", err)
	}
	payload, err = w.withScript(payload)
	if err != nil {
		return "", err
	}
	coordinator := fakecoordinator.New(payload, http.NotFoundHandler())
	server := httptest.NewServer(coordinator)
	defer server.Close()
	args := []string{
		"run-single", "--url", server.URL, "--token", "glrt-demo-0123456789abcdef", "--executor", "custom", "--max-builds", "1", "--wait-timeout", "30",
		"--builds-dir", filepath.Join(w.dir, "builds"), "--cache-dir", filepath.Join(w.dir, "cache"), "--shell", "bash",
	}
	for _, stage := range []string{"config", "prepare", "run", "cleanup"} {
		args = append(
			args, "--custom-"+stage+"-exec", filepath.Join(w.bin, "envrole-"+stage),
			"--custom-"+stage+"-args", "--config", "--custom-"+stage+"-args", w.config,
		)
	}
	// The runner is in its own directory: its state belongs to the demo.
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(append([]string{}, w.runner.Environ...), "TMPDIR="+w.dir)
	cmd.Dir = w.dir
	out, err := cmd.CombinedOutput()
	state, code, reason, log := coordinator.Result()
	if state != "success" {
		return log, errors.Join(fmt.Errorf("gitlab-runner ended the job with %q %d %s:\n%s", state, code, reason, out), err)
	}
	return plain(log), nil
}

// withScript puts the demo's script into the payload and takes out what needs a
// repository.
func (w *world) withScript(payload []byte) ([]byte, error) {
	var p map[string]any
	dec := json.NewDecoder(strings.NewReader(string(payload)))
	dec.UseNumber()
	if err := dec.Decode(&p); err != nil {
		return nil, err
	}
	p["steps"] = []any{map[string]any{
		"name": "script", "script": []string{w.script()}, "timeout": 60, "when": "on_success", "allow_failure": false,
	}}
	p["artifacts"], p["cache"], p["services"], p["dependencies"] = nil, []any{}, []any{}, []any{}
	variables, _ := p["variables"].([]any)
	p["variables"] = append(variables, map[string]any{"key": "GIT_STRATEGY", "value": "none", "public": true})
	return json.Marshal(p)
}
