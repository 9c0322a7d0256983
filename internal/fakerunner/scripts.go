package fakerunner

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// runScripts runs the sub-stages in order. A failed one ends the job, but
// after_script, archive_cache_on_failure, upload_artifacts_on_failure and
// cleanup_file_variables still run, as in the runner.
func (a *attempt) runScripts(ctx context.Context, job Job) (State, int, error) {
	scriptCtx := ctx
	if job.Timeout > 0 {
		var cancel context.CancelFunc
		scriptCtx, cancel = context.WithTimeout(ctx, job.Timeout)
		defer cancel()
	}
	var failed error
	for _, sub := range job.SubStages {
		if failed != nil && !evenAfterFailure(sub.Name) {
			continue
		}
		stepCtx := scriptCtx
		if evenAfterFailure(sub.Name) {
			stepCtx = context.WithoutCancel(ctx) // a cancel ends only the script
		}
		if err := a.runScript(stepCtx, sub); err != nil && failed == nil && sub.Name != "after_script" {
			failed = err
		}
	}
	var build *buildError
	switch {
	case failed == nil:
		return Success, 0, nil
	case scriptCtx.Err() != nil:
		return Canceled, 0, failed
	case errors.As(failed, &build):
		return ScriptFailure, build.code, failed
	default:
		return SystemFailure, 0, failed
	}
}

func evenAfterFailure(subStage string) bool {
	switch subStage {
	case "after_script", "archive_cache_on_failure", "upload_artifacts_on_failure", "cleanup_file_variables":
		return true
	}
	return false
}

func (a *attempt) runScript(ctx context.Context, sub SubStage) error {
	dir, err := os.MkdirTemp(a.dir, "script")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "script")
	if err := os.WriteFile(path, []byte(a.bash(sub)), 0o700); err != nil {
		return err
	}
	argv := append(append([]string{}, a.RunExec...), path, sub.Name)
	return a.call(ctx, "run:"+sub.Name, argv, a.log, a.log, 0)
}

// bash wraps the commands as the runner does: a shebang, a few settings, then
// one eval of a quoted text that exports the job's variables first.
func (a *attempt) bash(sub SubStage) string {
	var body strings.Builder
	for _, v := range a.variables {
		if a.PlainScripts {
			break
		}
		key, value, _ := strings.Cut(strings.TrimPrefix(v, "CUSTOM_ENV_"), "=")
		body.WriteString("export " + key + "=" + ansiQuote(value) + "\n")
	}
	body.WriteString(sub.Script + "\n")
	return "#!/usr/bin/env bash\n\nset -eo pipefail\nset +o noclobber\n: | eval " + ansiQuote(body.String()) + "\nexit 0\n"
}

// ansiQuote is bash's $'...' quoting.
func ansiQuote(s string) string {
	return "$'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + "'"
}

// Variable is one CI/CD variable of a payload.
type Variable struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// WithVariables appends variables to a payload's list, as a project's or a
// pipeline's own variables are.
func WithVariables(payload []byte, vars ...Variable) ([]byte, error) {
	var p map[string]any
	dec := json.NewDecoder(strings.NewReader(string(payload)))
	dec.UseNumber()
	if err := dec.Decode(&p); err != nil {
		return nil, err
	}
	list, _ := p["variables"].([]any)
	for _, v := range vars {
		list = append(list, v)
	}
	p["variables"] = list
	return json.Marshal(p)
}
