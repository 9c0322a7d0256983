// Package e2e runs whole jobs through the real stage binaries, as processes, the
// way the runner calls them, against stand-ins for AWS and GitLab.
package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"envrole/internal/dockertest"
	"envrole/internal/fakeaws"
	"envrole/internal/fakegitlab"
	"envrole/internal/fakerunner"
	"envrole/roles/lease"
)

// binaries is the directory of the stage binaries under test. They are built
// once, with the crash points that the kill tests need.
var binaries string //nolint:gochecknoglobals // TestMain has no other way to hand it on

func TestMain(m *testing.M) {
	if endpoint := os.Getenv(probeAt); endpoint != "" {
		os.Exit(probe(endpoint))
	}
	if dir := os.Getenv(suspendedIn); dir != "" {
		os.Exit(suspendedClient(dir, os.Getenv(clientAt)))
	}
	if sessions := os.Getenv(retrieves); sessions != "" {
		os.Exit(retriever(sessions))
	}
	if endpoint := os.Getenv(clientAt); endpoint != "" {
		os.Exit(goClient(endpoint, os.Getenv(clientUntil)))
	}
	os.Exit(func() int {
		if os.Getenv(orderFile) != "" { // a runner process: its binaries are there
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "envrole-e2e")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		build := exec.Command("go", "build", "-tags", "crashpoints", "-o", dir+"/", "envrole/cmd/...")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as `make build` does
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the stage binaries: %v\n%s", err, out)
			return 1
		}
		binaries = dir
		// Parallel tests wait for sessions to end, most of their time.
		flag.Parse()
		if at := flag.Lookup("test.parallel").Value; at.String() == itoa(runtime.GOMAXPROCS(0)) {
			_ = at.Set(itoa(2 * runtime.GOMAXPROCS(0)))
		}
		return dockertest.Main(m)
	}())
}

// probeAt makes this program a job's tool: one ordinary call to the AWS at that
// address with the session in the environment.
const probeAt = "ENVROLE_E2E_PROBE"

func probe(endpoint string) int {
	code, err := fakeaws.Probe(context.Background(), endpoint, aws.Credentials{
		AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
	})
	switch {
	case err != nil:
		fmt.Println("the call got no answer:", err)
	case code != "":
		fmt.Println("the call was refused:", code)
	default:
		fmt.Println("the call was allowed")
		return 0
	}
	return 1
}

// callAWS is a script's line that makes an ordinary call and fails if AWS
// refuses it.
func (w *world) callAWS() string { return probeAt + "=" + w.aws.URL() + " " + os.Args[0] }

const (
	deployRole  = "arn:aws:iam::111122223333:role/deploy-shop"
	revokerRole = "arn:aws:iam::111122223333:role/envrole-revoker"
)

// world is one host with a runner, an AWS and a GitLab.
type world struct {
	t      *testing.T
	aws    *fakeaws.Server
	gitlab *fakegitlab.Server
	dir    string
	config string
	state  string
	runner fakerunner.Runner
}

// role is the environment role as an administrator makes it.
func role() fakeaws.Role {
	return fakeaws.Role{
		ARN: deployRole, TrustedPrincipals: []string{fakeaws.DefaultUser},
		AllowTagSession: true, AllowSetSourceIdentity: true,
	}
}

func revokerOf(roles ...string) fakeaws.Role {
	return fakeaws.Role{
		ARN: revokerRole, TrustedPrincipals: []string{fakeaws.DefaultUser},
		Allow: []fakeaws.Permission{{
			Actions:   []string{"iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:ListRolePolicies"},
			Resources: roles,
		}},
	}
}

// newWorld makes a world whose configuration is rules, after the usual tables.
func newWorld(t *testing.T, rules string) *world {
	t.Helper()
	return newWorldWith(t, rules, fakeaws.Options{})
}

// newWorldWith is newWorld with an AWS that behaves as opts say.
func newWorldWith(t *testing.T, rules string, opts fakeaws.Options) *world {
	t.Helper()
	opts.Roles = []fakeaws.Role{role(), revokerOf(deployRole)}
	cloud, err := fakeaws.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cloud.Close() })
	gitlab, err := fakegitlab.Start(fakegitlab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = gitlab.Close() })
	w := &world{t: t, aws: cloud, gitlab: gitlab, dir: t.TempDir()}
	w.state = filepath.Join(w.dir, "state")
	w.config = filepath.Join(w.dir, "config.toml")
	w.configure(rules, "")
	env, err := cloud.Env(fakeaws.DefaultUser)
	if err != nil {
		t.Fatal(err)
	}
	w.runner = fakerunner.Runner{
		ConfigExec:   w.stage("config"),
		PrepareExec:  w.stage("prepare"),
		RunExec:      w.stage("run"),
		CleanupExec:  w.stage("cleanup"),
		Environ:      append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "LANG=C.UTF-8", "RUNNER_SECRET=do-not-leak"}, env...),
		TempDir:      w.dir,
		StageTimeout: time.Minute, GracefulKill: 5 * time.Second,
	}
	return w
}

func (w *world) stage(name string) []string {
	return []string{filepath.Join(binaries, "envrole-"+name), "--config", w.config}
}

// configure writes the configuration; more goes before the rules.
func (w *world) configure(rules, more string) {
	w.t.Helper()
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

%s

%s
`, w.gitlab.URL(), w.state, filepath.Join(w.dir, "builds"), filepath.Join(w.dir, "cache"), more, rules)
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// productionRule is the rule of the README.
const productionRule = `[[role]]
name = "production deploys"
environments = ["production"]
projects = ["acme/platform/*"]
role_arn = "arn:aws:iam::111122223333:role/deploy-shop"
`

// payload reads a job payload and makes the GitLab of this world know its job.
func (w *world) payload(name string) []byte { return w.payloadAs(name, 0) }

// payloadAs gives the payload another job id and token; 0 leaves them.
func (w *world) payloadAs(name string, id int64) []byte {
	w.t.Helper()
	read := func(dir string) string {
		b, err := os.ReadFile(filepath.Join("..", "..", "executor", dir, "testdata", name+".json"))
		if err != nil {
			w.t.Fatal(err)
		}
		return string(b)
	}
	job, answer := read("job"), read("proof")
	if id != 0 {
		var p struct {
			ID    int64  `json:"id"`
			Token string `json:"token"`
		}
		if err := json.Unmarshal([]byte(job), &p); err != nil {
			w.t.Fatal(err)
		}
		job = strings.ReplaceAll(job, p.Token, fmt.Sprintf("glcbt-test-%d", id))
		job = strings.ReplaceAll(job, fmt.Sprint(p.ID), fmt.Sprint(id))
		answer = strings.ReplaceAll(answer, fmt.Sprint(p.ID), fmt.Sprint(id))
	}
	if _, err := w.gitlab.AddFromPayload([]byte(job), []byte(answer)); err != nil {
		w.t.Fatal(err)
	}
	return []byte(job)
}

// job makes a job of a payload with the author's script.
func job(payload []byte, script string) fakerunner.Job {
	return fakerunner.Job{Payload: payload, SubStages: []fakerunner.SubStage{
		{Name: "prepare_script", Script: "echo Running on $(hostname)"},
		{Name: "get_sources", Script: "echo sources"},
		{Name: "build_script", Script: script},
		{Name: "after_script", Script: "true"},
	}}
}

func (w *world) run(payload []byte, script string) fakerunner.Result {
	w.t.Helper()
	return w.runner.Run(context.Background(), job(payload, script))
}

// leases reads the ledger.
func (w *world) leases() []lease.Lease {
	w.t.Helper()
	ledger, err := lease.Open(w.state)
	if err != nil {
		w.t.Fatal(err)
	}
	all, damaged, err := ledger.List(context.Background())
	if err != nil || len(damaged) > 0 {
		w.t.Fatalf("ledger: %v %v", err, damaged)
	}
	return all
}

// live is the sessions of the deploy role that AWS would still serve.
func (w *world) live() []string {
	var names []string
	for _, s := range w.aws.Sessions() {
		if s.Role == deployRole && s.Live() {
			names = append(names, s.Name)
		}
	}
	return names
}

// envrole runs the administrator's command.
func (w *world) envrole(args ...string) (string, int) {
	w.t.Helper()
	cmd := exec.Command(filepath.Join(binaries, "envrole"), append([]string{args[0], "--config", w.config}, args[1:]...)...)
	cmd.Env = w.runner.Environ
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// noSecrets fails if a text holds a secret of any session or of the runner.
func (w *world) noSecrets(where, text string) {
	w.t.Helper()
	for _, secret := range w.aws.Secrets() {
		if strings.Contains(text, secret) {
			w.t.Errorf("%s holds a secret", where)
		}
	}
}

type sessionInfo = fakeaws.SessionInfo

// nothingLeft fails if a sealed session or a temporary directory outlives its job.
func (w *world) nothingLeft() {
	w.t.Helper()
	for _, pattern := range []string{filepath.Join(w.state, "sealed", "*"), filepath.Join(w.dir, "custom-executor*")} {
		left, err := filepath.Glob(pattern)
		if err != nil || len(left) > 0 {
			w.t.Errorf("left behind: %v %v", left, err)
		}
	}
}

// configureGitLab writes the configuration with more keys in [gitlab].
func (w *world) configureGitLab(keys, rules string) {
	w.t.Helper()
	w.configure(rules, "")
	b, err := os.ReadFile(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	text := strings.Replace(string(b), "[gitlab]\n", "[gitlab]\n"+keys+"\n", 1)
	if err := os.WriteFile(w.config, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// runner17 is the payload that a runner 17.0 writes, its job known to GitLab.
func (w *world) runner17() []byte {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "executor", "job", "testdata", "runner_17.json"))
	if err != nil {
		w.t.Fatal(err)
	}
	var p struct {
		ID    int64  `json:"id"`
		Token string `json:"token"`
	}
	if err := json.Unmarshal(b, &p); err != nil {
		w.t.Fatal(err)
	}
	w.gitlab.AddEnvironment(4242, fakegitlab.Environment{Name: "production", Slug: "production", Tier: "production"})
	w.gitlab.AddJob(fakegitlab.Job{
		ID: p.ID, Token: p.Token, ProjectID: 4242, PipelineID: 7001, UserID: 33, Username: "dana",
		Environment: &fakegitlab.JobEnvironment{Slug: "production", Tier: "production"},
	})
	return b
}

// bare runs one sub-stage whose script is the commands alone: no variables of
// the job are exported in it.
func (w *world) bare(payload []byte, sub fakerunner.SubStage) fakerunner.Result {
	w.t.Helper()
	w.runner.PlainScripts = true
	defer func() { w.runner.PlainScripts = false }()
	return w.runner.Run(w.t.Context(), fakerunner.Job{Payload: payload, SubStages: []fakerunner.SubStage{sub}})
}

func itoa(n int) string { return strconv.Itoa(n) }

func atoi(s string) int { n, _ := strconv.Atoi(s); return n }
