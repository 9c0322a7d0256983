// Command demo runs whole jobs through the real stage binaries, on an embedded
// AWS and GitLab: no account, no server, nothing to install. It ends with a
// non-zero code if anything is not as it should be, so that it is a test too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"envrole/internal/fakerunner"
)

func main() {
	bin := flag.String("bin", "bin", "directory of the stage binaries")
	testdata := flag.String("testdata", "executor", "directory whose job/testdata and proof/testdata hold payloads")
	genuine := flag.Bool("runner", false, "run the first job under the gitlab-runner on PATH")
	call := flag.Bool("list-buckets", false, "make one AWS call with the credentials in the environment, and say how it went")
	flag.Parse()
	if *call {
		os.Exit(listBuckets(os.Stdout))
	}
	if err := bounded(*bin, *testdata, *genuine); err != nil {
		fmt.Fprintln(os.Stderr, "\nthe demo failed:", err)
		os.Exit(1)
	}
}

// bounded ends a demo that hangs.
func bounded(bin, testdata string, genuine bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return run(ctx, bin, testdata, genuine)
}

// step prints a heading.
func step(heading string) { fmt.Printf("\n== %s\n", heading) }

// indented prints a block as what somebody else wrote.
func indented(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		fmt.Println("   | " + strings.TrimRight(line, "\n"))
	}
}

func run(ctx context.Context, bin, testdata string, genuine bool) (err error) {
	w, err := newWorld(bin, testdata)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()

	step("The administrator's configuration")
	indented(w.rules)
	step("What envrole explains about the job, before it runs")
	if err := w.explain(ctx); err != nil {
		return err
	}
	neighbour, err := w.startNeighbour(ctx)
	if err != nil {
		return err
	}
	step("A job of environment production: config, prepare, run x 4, cleanup")
	if err := w.production(ctx, genuine); err != nil {
		return err
	}
	step("The same credentials, stolen by the job, after its cleanup")
	if err := w.stolenAreDead(ctx); err != nil {
		return err
	}
	step("A neighbour, another job with the same role, still running")
	if err := neighbour(); err != nil {
		return err
	}
	step("A job that forges CI_ENVIRONMENT_NAME=production, on a rule that takes any ref")
	if err := w.forged(ctx); err != nil {
		return err
	}
	step("The ledger and the audit log")
	if err := w.books(ctx); err != nil {
		return err
	}
	fmt.Println("\nAll as it should be.")
	return nil
}

// script is the production job's own: it uses its role, keeps a copy of its
// credentials as a thief would, and prints them.
func (w *world) script() string {
	return fmt.Sprintf(`echo '$ aws s3api list-buckets'
%[1]s -list-buckets
env | grep ^AWS_ > %[2]s
echo "my secret key is $AWS_SECRET_ACCESS_KEY"
echo "in base64: $(printf %%s "$AWS_SECRET_ACCESS_KEY" | base64)"`, w.self, w.stolen)
}

func (w *world) production(ctx context.Context, genuine bool) error {
	payload, err := w.payload("honest_production", 0)
	if err != nil {
		return err
	}
	var log string
	if genuine {
		log, err = w.genuineRunner(ctx, payload)
	} else {
		res := w.runner.Run(ctx, job(payload, w.script()))
		log, err = res.Log, res.Err
	}
	indented(log)
	switch {
	case err != nil:
		return err
	case !strings.Contains(log, "buckets: "):
		return errors.New("the job could not use its role")
	case !strings.Contains(log, "my secret key is [MASKED]") || !strings.Contains(log, "in base64: [MASKED]"):
		return errors.New("the log shows the secret key")
	}
	return nil
}

func (w *world) stolenAreDead(ctx context.Context) error {
	env, err := os.ReadFile(w.stolen)
	if err != nil {
		return err
	}
	out, code := w.callAs(ctx, strings.Split(strings.TrimSpace(string(env)), "\n"))
	indented(out)
	if code == 0 {
		return errors.New("the stolen credentials still work")
	}
	if !strings.Contains(out, "AccessDenied") {
		return errors.New("the call failed for another reason than the deny")
	}
	return nil
}

// startNeighbour starts a second job with the same role. What it gives ends
// that job and fails if it could not use its role to the end.
func (w *world) startNeighbour(ctx context.Context) (finish func() error, err error) {
	payload, err := w.payload("honest_production", 9990001)
	if err != nil {
		return nil, err
	}
	started, goOn := filepath.Join(w.dir, "neighbour-started"), filepath.Join(w.dir, "neighbour-go-on")
	done := make(chan fakerunner.Result, 1)
	go func() {
		done <- w.runner.Run(ctx, job(payload, fmt.Sprintf("touch %s\nwhile [ ! -e %s ]; do sleep 0.05; done\n%s -list-buckets", started, goOn, w.self)))
	}()
	for {
		if _, err := os.Stat(started); err == nil {
			break
		}
		select {
		case res := <-done:
			return nil, fmt.Errorf("the neighbour ended early: %w\n%s", res.Err, res.Log)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return func() error {
		if err := os.WriteFile(goOn, nil, 0o600); err != nil {
			return err
		}
		res := <-done
		indented(lineWith(res.Log, "buckets"))
		if res.State != fakerunner.Success {
			return fmt.Errorf("the neighbour failed: %w", res.Err)
		}
		return nil
	}, nil
}

func lineWith(text, word string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			return line
		}
	}
	return ""
}

func (w *world) forged(ctx context.Context) error {
	payload, err := w.payload("name_without_environment", 0)
	if err != nil {
		return err
	}
	res := w.runner.Run(ctx, job(payload, `echo "it runs, with key ${AWS_ACCESS_KEY_ID:-none}"`))
	indented(res.Log)
	if res.State != fakerunner.ScriptFailure || strings.Contains(res.Log, "it runs") {
		return errors.New("the forged job was not refused")
	}
	return nil
}

// job makes a job of a payload with the author's script.
func job(payload []byte, script string) fakerunner.Job {
	return fakerunner.Job{Payload: payload, Timeout: time.Minute, SubStages: []fakerunner.SubStage{
		{Name: "prepare_script", Script: "echo Running on $(uname -n) via the custom executor"},
		{Name: "get_sources", Script: "echo Getting source"},
		{Name: "build_script", Script: script},
		{Name: "after_script", Script: "echo after_script"},
	}}
}
