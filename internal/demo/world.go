package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"envrole/internal/fakeaws"
	"envrole/internal/fakegitlab"
	"envrole/internal/fakerunner"
)

const (
	account     = "arn:aws:iam::" + fakeaws.DefaultAccount
	deployRole  = account + ":role/deploy-shop"
	revokerRole = account + ":role/envrole-revoker"
)

// world is a host with a runner, and an AWS and a GitLab on loopback.
type world struct {
	aws                  *fakeaws.Server
	gitlab               *fakegitlab.Server
	runner               fakerunner.Runner
	bin, testdata, dir   string
	rules, config, state string
	self, stolen         string
}

func newWorld(bin, testdata string) (w *world, err error) {
	w = &world{testdata: testdata}
	if w.bin, err = filepath.Abs(bin); err != nil {
		return nil, err
	}
	if w.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if w.dir, err = os.MkdirTemp("", "envrole-demo"); err != nil {
		return nil, err
	}
	w.stolen, w.state, w.config = filepath.Join(w.dir, "stolen"), filepath.Join(w.dir, "state"), filepath.Join(w.dir, "config.toml")
	if w.gitlab, err = fakegitlab.Start(fakegitlab.Options{}); err != nil {
		return nil, err
	}
	w.aws, err = fakeaws.Start(fakeaws.Options{Roles: []fakeaws.Role{
		{ARN: deployRole, TrustedPrincipals: []string{fakeaws.DefaultUser}, AllowTagSession: true},
		{ARN: revokerRole, TrustedPrincipals: []string{fakeaws.DefaultUser}, Allow: []fakeaws.Permission{{
			Actions:   []string{"iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:ListRolePolicies"},
			Resources: []string{deployRole},
		}}},
	}})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(w.dir, "endpoint"), []byte(w.aws.URL()), 0o600); err != nil {
		return nil, err
	}
	if err := w.configure(); err != nil {
		return nil, err
	}
	return w, w.makeRunner()
}

func (w *world) configure() error {
	w.rules = `[[role]]
name          = "production deploys"
environments  = ["production"]
projects      = ["acme/platform/*"]
ref_protected = false            # for the forged job below; the default is true
role_arn      = "` + deployRole + `"`
	text := fmt.Sprintf(`[gitlab]
url = %q

[aws]
region = "eu-central-1"

[state]
dir = %q

[executor.shell]
same_user = "trusted"   # the demo runs as you
metadata  = "allow"
builds_dir = %q
cache_dir  = %q

%s
`, w.gitlab.URL(), w.state, filepath.Join(w.dir, "builds"), filepath.Join(w.dir, "cache"), w.rules)
	return os.WriteFile(w.config, []byte(text), 0o600)
}

func (w *world) makeRunner() error {
	env, err := w.aws.Env(fakeaws.DefaultUser)
	if err != nil {
		return err
	}
	stage := func(name string) []string {
		return []string{filepath.Join(w.bin, "envrole-"+name), "--config", w.config}
	}
	w.runner = fakerunner.Runner{
		ConfigExec: stage("config"), PrepareExec: stage("prepare"), RunExec: stage("run"), CleanupExec: stage("cleanup"),
		Environ: append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "LANG=C.UTF-8"}, env...),
		TempDir: w.dir, Attempts: 3, RetryDelay: 3 * time.Second, StageTimeout: time.Minute, GracefulKill: 10 * time.Second,
	}
	return nil
}

func (w *world) close() error {
	return errors.Join(w.aws.Close(), w.gitlab.Close(), os.RemoveAll(w.dir))
}

// payload reads a job's payload and makes GitLab know the job; an id other than
// 0 makes it another job of the same environment.
func (w *world) payload(name string, id int64) ([]byte, error) {
	job, err := os.ReadFile(filepath.Join(w.testdata, "job", "testdata", name+".json"))
	if err != nil {
		return nil, err
	}
	answer, err := os.ReadFile(filepath.Join(w.testdata, "proof", "testdata", name+".json"))
	if err != nil {
		return nil, err
	}
	if id != 0 {
		var p struct {
			ID    int64  `json:"id"`
			Token string `json:"token"`
		}
		if err := json.Unmarshal(job, &p); err != nil {
			return nil, err
		}
		other := strings.NewReplacer(p.Token, fmt.Sprintf("glcbt-demo-%d", id), fmt.Sprint(p.ID), fmt.Sprint(id))
		job, answer = []byte(other.Replace(string(job))), []byte(other.Replace(string(answer)))
	}
	_, err = w.gitlab.AddFromPayload(job, answer)
	return job, err
}

// command runs a program and shows what it says.
func (w *world) command(ctx context.Context, env []string, name string, args ...string) (string, int) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return string(out), exit.ExitCode()
	case err != nil:
		return err.Error(), -1
	}
	return string(out), 0
}

// callAs makes the ordinary AWS call with the credentials in env.
func (w *world) callAs(ctx context.Context, env []string) (string, int) {
	fmt.Println("   $ aws s3api list-buckets")
	return w.command(ctx, append(env, "AWS_ENDPOINT_URL="+w.aws.URL()), w.self, "-list-buckets")
}

func (w *world) explain(ctx context.Context) error {
	args := []string{
		"explain", "--config", w.config, "--project", "acme/platform/shop", "--project-id", "150",
		"--environment", "production", "--tier", "production", "--ref", "main", "--protected",
	}
	fmt.Println("   $ envrole " + strings.Join(append(args[:1:1], args[3:]...), " "))
	out, code := w.command(ctx, w.runner.Environ, filepath.Join(w.bin, "envrole"), args...)
	indented(out)
	if code != 0 {
		return fmt.Errorf("envrole explain ended with code %d", code)
	}
	return nil
}

// books shows what remains: no session, and a line for everything that was done.
func (w *world) books(ctx context.Context) error {
	fmt.Println("   $ envrole leases")
	out, code := w.command(ctx, w.runner.Environ, filepath.Join(w.bin, "envrole"), "leases", "--config", w.config)
	indented(out)
	if code != 0 {
		return fmt.Errorf("envrole leases ended with code %d", code)
	}
	log, err := os.ReadFile(filepath.Join(w.state, "audit.jsonl"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(log)) {
		var e struct {
			Event, Session, Reason string
			Job                    int64
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return fmt.Errorf("audit log: %w", err)
		}
		indented(fmt.Sprintf("audit: %-8s job %d %s%s", e.Event, e.Job, e.Session, cut(" "+e.Reason, 70)))
	}
	for _, s := range w.aws.Sessions() {
		if s.Role == deployRole && s.Live() {
			return fmt.Errorf("session %s is still alive", s.Name)
		}
	}
	return nil
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}
