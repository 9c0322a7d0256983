package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"envrole/internal/dockertest"
	"envrole/internal/fakerunner"
)

// inContainers makes the world's jobs run in containers of d.
func (w *world) inContainers(d *dockertest.Daemon, rules, more string) {
	w.t.Helper()
	d.Import(w.t, "full:latest", dockertest.Full())
	w.configure(rules, fmt.Sprintf("[executor]\nbase = \"docker\"\n[executor.docker]\nhost = %q\npull_policy = [\"never\"]\nallowed_images = [\"full:*\"]\n%s\n", d.Address, more))
}

// with changes members of a payload.
func (w *world) with(payload []byte, members map[string]any) []byte {
	w.t.Helper()
	var all map[string]any
	if err := json.Unmarshal(payload, &all); err != nil {
		w.t.Fatal(err)
	}
	for k, v := range members {
		all[k] = v
	}
	b, err := json.Marshal(all)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

type object = map[string]any

// ofJobs lists what EnvRole has in the Engine, but for the volumes of projects.
func ofJobs(t *testing.T, d *dockertest.Daemon) string {
	t.Helper()
	containers, err := d.Docker(t, "ps", "-aq", "--filter", "label=envrole.job")
	if err != nil {
		t.Fatal(err, containers)
	}
	networks, err := d.Docker(t, "network", "ls", "-q", "--filter", "label=envrole.job")
	if err != nil {
		t.Fatal(err, networks)
	}
	return containers + networks
}

func TestAProductionJobInAContainerGetsItsRoleAndLosesIt(t *testing.T) {
	d := dockertest.Start(t)
	w := newWorld(t, "")
	w.inContainers(d, productionRule, "")
	payload := w.with(w.payload("honest_production"), object{
		"image":    object{"name": "$IMAGE"},
		"services": []object{{"name": "full", "alias": "web", "entrypoint": []string{"busybox"}, "command": []string{"httpd", "-f", "-h", "/etc"}}},
	})
	payload = w.with(payload, object{"variables": append(variablesOf(t, payload), object{"key": "IMAGE", "value": "docker.io/library/full:latest", "public": true})})
	res := w.run(payload, `echo "host $(cat /proc/sys/kernel/hostname), key $AWS_ACCESS_KEY_ID"; echo "$AWS_SECRET_ACCESS_KEY"; echo "runner: ${RUNNER_SECRET:-none}"; wget -qO- http://web/passwd | grep -q ^ci: && echo "web is known"; exit 7`)
	if res.State != fakerunner.ScriptFailure || res.ExitCode != 7 {
		t.Fatalf("%s, code %d: %v\n%s\n%s", res.State, res.ExitCode, res.Err, res.Log, res.Cleanup)
	}
	sessions := w.aws.Sessions()
	i := slices.IndexFunc(sessions, func(s sessionInfo) bool { return s.Role == deployRole })
	if i < 0 {
		t.Fatal("no session of the role\n", res.Log)
	}
	if !sessions[i].Denied {
		t.Error("the session is not denied after cleanup")
	}
	for _, want := range []string{"envrole/docker", "key " + sessions[i].AccessKeyID, "[MASKED]", "runner: none", "web is known"} {
		if !strings.Contains(res.Log, want) {
			t.Errorf("the log lacks %q:\n%s", want, res.Log)
		}
	}
	w.noSecrets("the job's log", res.Log)
	w.noSecrets("the Engine's log", d.Log())
	if left := ofJobs(t, d); left != "" {
		t.Errorf("left in the Engine: %s\n%s", left, res.Cleanup)
	}
	w.nothingLeft()
}

func TestWhatAContainerMayNotHaveEndsTheJobInConfig(t *testing.T) {
	d := dockertest.Start(t)
	w := newWorld(t, "")
	w.inContainers(d, productionRule, "")
	for want, members := range map[string]object{
		`image:ports`:                        {"image": object{"name": "full", "ports": []object{{"number": 80}}}},
		`"other" is not in executor.docker.`: {"image": object{"name": "other"}},
		`/../x" is no image`:                 {"image": object{"name": "full$AT"}},
		`"evil.example.com/full" is not in`:  {"image": object{"name": "$FORGED"}},
		`the job names no image`:             {"image": nil},
	} {
		payload := w.payload("honest_production")
		members["variables"] = append(variablesOf(t, payload), object{"key": "AT", "value": ":latest/../x", "public": true}, object{"key": "FORGED", "value": "evil.example.com/full", "public": true})
		res := w.run(w.with(payload, members), "echo the script ran")
		if res.State != fakerunner.ScriptFailure || res.Attempts != 1 || !strings.Contains(res.Log, want) || strings.Contains(res.Log, "the script ran") {
			t.Errorf("%s: %s after %d attempts: %v\n%s", want, res.State, res.Attempts, res.Err, res.Log)
		}
	}
	if n := w.aws.Count("AssumeRole"); n != 0 {
		t.Errorf("%d calls of AssumeRole", n)
	}
	if left := ofJobs(t, d); left != "" {
		t.Error("left in the Engine:", left)
	}
}

func TestAJobThatReachesItsHostGetsNoRole(t *testing.T) {
	d := dockertest.Start(t)
	w := newWorld(t, "")
	payload := w.with(w.payload("honest_production"), object{"image": object{"name": "full"}})
	w.inContainers(d, productionRule, "privileged = true")
	res := w.run(payload, "echo the script ran")
	if res.State != fakerunner.ScriptFailure || !strings.Contains(res.Log, "executor.docker.privileged") || w.aws.Count("AssumeRole") != 0 {
		t.Errorf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
}

func TestASweepRemovesTheContainersOfAKilledRunnersJob(t *testing.T) {
	d := dockertest.Start(t)
	w := newWorld(t, "")
	w.inContainers(d, "", "")
	payload := w.with(w.payload("honest_production"), object{"image": object{"name": "full"}})
	w.runner.SkipCleanup = true
	if res := w.run(payload, "true"); res.State != fakerunner.Success {
		t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
	sweep := func() string {
		out, code := w.envrole("sweep")
		if code != 0 {
			t.Fatalf("sweep ends with %d\n%s", code, out)
		}
		return out
	}
	if out := sweep(); ofJobs(t, d) == "" {
		t.Fatal("a sweep removed a job that may still run:", out)
	}
	sealed, err := filepath.Glob(filepath.Join(w.state, "sealed", "*"))
	if err != nil || len(sealed) != 1 {
		t.Fatal(sealed, err)
	}
	past := time.Now().Add(-time.Minute)
	if err := os.Chtimes(sealed[0], past, past); err != nil { // the job's deadline
		t.Fatal(err)
	}
	if out := sweep(); ofJobs(t, d) != "" || !strings.Contains(out, "removed") {
		t.Errorf("left: %s\n%s", ofJobs(t, d), out)
	}
}

func variablesOf(t *testing.T, payload []byte) []any {
	t.Helper()
	var p struct{ Variables []any }
	if err := json.Unmarshal(payload, &p); err != nil {
		t.Fatal(err)
	}
	return p.Variables
}
