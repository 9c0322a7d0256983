package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
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

// world is a host with an AWS and a GitLab on loopback, a runner with EnvRole,
// and one with the smallest driver that can run a job.
type world struct {
	aws           *fakeaws.Server
	gitlab        *fakegitlab.Server
	ours, bare    fakerunner.Runner
	testdata, dir string
	config        string
	jobs          int64 // so far
}

func newWorld(o options) (*world, error) { return newWorldOn(o, fakeaws.Options{}) }

// newWorldOn is newWorld with an AWS that behaves as opts say.
func newWorldOn(o options, opts fakeaws.Options) (*world, error) {
	dir, err := os.MkdirTemp("", "envrole-bench")
	if err != nil {
		return nil, err
	}
	w := &world{testdata: o.testdata, dir: dir, config: filepath.Join(dir, "config.toml")}
	if err := w.start(o.bin, opts); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) start(bin string, opts fakeaws.Options) (err error) {
	if bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	if w.gitlab, err = fakegitlab.Start(fakegitlab.Options{}); err != nil {
		return err
	}
	opts.Roles = []fakeaws.Role{
		{ARN: deployRole, TrustedPrincipals: []string{fakeaws.DefaultUser}, AllowTagSession: true},
		{ARN: revokerRole, TrustedPrincipals: []string{fakeaws.DefaultUser}, Allow: []fakeaws.Permission{{
			Actions:   []string{"iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:ListRolePolicies"},
			Resources: []string{deployRole},
		}}},
	}
	if w.aws, err = fakeaws.Start(opts); err != nil {
		return err
	}
	if err := w.configure(); err != nil {
		return err
	}
	env, err := w.aws.Env(fakeaws.DefaultUser)
	if err != nil {
		return err
	}
	w.bare = fakerunner.Runner{
		RunExec: []string{filepath.Join(w.dir, "bare-run")},
		Environ: append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "LANG=C.UTF-8"}, env...),
		TempDir: w.dir, Attempts: 1, StageTimeout: time.Minute, GracefulKill: 5 * time.Second,
	}
	// Nothing can do less: no config, no prepare, no cleanup, and a run that is
	// the shell itself.
	if err := os.WriteFile(w.bare.RunExec[0], []byte("#!/bin/sh\nexec bash \"$1\"\n"), 0o700); err != nil {
		return err
	}
	stage := func(name string) []string { return []string{filepath.Join(bin, "envrole-"+name), "--config", w.config} }
	w.ours = w.bare
	w.ours.ConfigExec, w.ours.PrepareExec, w.ours.RunExec, w.ours.CleanupExec = stage("config"), stage("prepare"), stage("run"), stage("cleanup")
	return nil
}

func (w *world) configure() error {
	text := fmt.Sprintf(`[gitlab]
url = %q
[aws]
region = "eu-central-1"
[state]
dir = %q
[executor.shell]
same_user = "trusted"
metadata = "allow"
builds_dir = %q
cache_dir = %q
[[role]]
name = "production deploys"
environments = ["production"]
projects = ["acme/platform/*"]
role_arn = %q
`, w.gitlab.URL(), filepath.Join(w.dir, "state"), filepath.Join(w.dir, "builds"), filepath.Join(w.dir, "cache"), deployRole)
	return os.WriteFile(w.config, []byte(text), 0o600)
}

func (w *world) close() error {
	var errs []error
	if w.aws != nil {
		errs = append(errs, w.aws.Close())
	}
	if w.gitlab != nil {
		errs = append(errs, w.gitlab.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(w.dir))...)
}

// payload makes one more job of environment production, known to GitLab.
func (w *world) payload() ([]byte, error) {
	const name = "honest_production.json"
	job, err := os.ReadFile(filepath.Join(w.testdata, "job", "testdata", name))
	if err != nil {
		return nil, err
	}
	answer, err := os.ReadFile(filepath.Join(w.testdata, "proof", "testdata", name))
	if err != nil {
		return nil, err
	}
	var p struct {
		ID    int64  `json:"id"`
		Token string `json:"token"`
	}
	if err := json.Unmarshal(job, &p); err != nil {
		return nil, err
	}
	w.jobs++
	id := p.ID + w.jobs
	other := strings.NewReplacer(p.Token, fmt.Sprintf("glcbt-bench-%d", id), fmt.Sprint(p.ID), fmt.Sprint(id))
	job = []byte(other.Replace(string(job)))
	_, err = w.gitlab.AddFromPayload(job, []byte(other.Replace(string(answer))))
	return job, err
}

// job is a job of four sub-stages, as the smallest job under GitLab Runner has.
func job(payload []byte, script string) fakerunner.Job {
	return fakerunner.Job{Payload: payload, Timeout: time.Minute, SubStages: []fakerunner.SubStage{
		{Name: "prepare_script", Script: ":"},
		{Name: "get_sources", Script: ":"},
		{Name: "build_script", Script: script},
		{Name: "after_script", Script: ":"},
	}}
}

// failed is the error of a job that did not succeed, or whose cleanup had
// something to say.
func failed(who string, res fakerunner.Result) error {
	if res.State == fakerunner.Success {
		if res.Cleanup != "" {
			return fmt.Errorf("cleanup of %s job: %s", who, res.Cleanup)
		}
		return nil
	}
	return fmt.Errorf("%s job ended as %s: %w\n%s%s", who, res.State, res.Err, res.Log, res.Cleanup)
}

// alive is how many sessions of the deploy role AWS would still serve.
func (w *world) alive() int {
	n := 0
	for _, s := range w.aws.Sessions() {
		if s.Role == deployRole && s.Live() {
			n++
		}
	}
	return n
}
