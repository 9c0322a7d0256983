package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"envrole/internal/audit"
	"envrole/internal/fakeaws"
	"envrole/internal/fakerunner"
)

// These tests run genuine AWS clients for longer than a session lasts, in every
// delivery that promises to renew it. AWS refuses each session after its end.

// sessionLife is how long sessions last here. The last third, in which they are
// renewed, is much for a busy machine too.
const sessionLife = "20s"

// clientAt makes this program a job's tool: the Go SDK with its own credentials
// chain, against the AWS at that address, until the file clientUntil is there.
const (
	clientAt    = "ENVROLE_E2E_CLIENT"
	clientUntil = "ENVROLE_E2E_CLIENT_UNTIL"
)

// goClient is a script's line that runs that tool.
func (w *world) goClient(until mark) string {
	return fmt.Sprintf("%s='%s' %s=%s '%s'", clientUntil, until.path, clientAt, w.aws.URL(), os.Args[0])
}

func goClient(endpoint, until string) int {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		fmt.Println("configuration:", err)
		return 1
	}
	keys := map[string]bool{}
	for ; !exists(until); time.Sleep(50 * time.Millisecond) {
		creds, err := cfg.Credentials.Retrieve(ctx)
		if err != nil {
			fmt.Println("no credentials:", err)
			return 1
		}
		keys[creds.AccessKeyID] = true
		if code, err := fakeaws.Probe(ctx, endpoint, creds); err != nil || code != "" {
			fmt.Println("the call failed:", code, err)
			return 1
		}
	}
	fmt.Println("sessions seen:", len(keys))
	return 0
}

const boto3Script = `
import boto3, os, time
client = boto3.client("s3", endpoint_url="%s")
while not os.path.exists("%s"):
    client.list_buckets()
    time.sleep(0.05)
print("boto3 is content")
`

// clients are the scripts of jobs that call AWS until the mark is set.
func (w *world) clients(t *testing.T, until mark) map[string]string {
	t.Helper()
	all := map[string]string{
		"Go SDK":  w.goClient(until),
		"aws CLI": fmt.Sprintf("until [ -e %s ]; do aws --endpoint-url %s s3api list-buckets >/dev/null || exit 3; sleep 0.1; done", until.path, w.aws.URL()),
		"boto3":   "python3 - <<'END'" + fmt.Sprintf(boto3Script, w.aws.URL(), until.path) + "END",
	}
	for name, probe := range map[string][]string{"aws CLI": {"aws", "--version"}, "boto3": {"python3", "-c", "import boto3"}} {
		if err := exec.Command(probe[0], probe[1:]...).Run(); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing", name)
			}
			t.Logf("NOT TESTED: %s is missing", name)
			delete(all, name)
		}
	}
	return all
}

func TestGenuineClientsOutliveTheirSessions(t *testing.T) {
	t.Parallel()
	for _, delivery := range []string{"endpoint", "profile"} {
		t.Run(delivery, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, productionRule)
			// One after the other: some take a whole core.
			for name := range w.clients(t, w.mark("")) {
				t.Run(name, func(t *testing.T) { outlives(t, delivery, name) })
			}
		})
	}
}

func outlives(t *testing.T, delivery, client string) {
	w := shortWorld(t, `delivery = "`+delivery+`"`, sessionLife)
	enough := w.mark("enough")
	b := w.begin(scripts(w, w.clients(t, enough)[client]))
	b.outlived(3)
	enough.set()
	res := b.result()
	if res.State != fakerunner.Success {
		t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
	made := w.generations()
	w.oneName()
	for _, c := range w.aws.Calls() {
		if c.Status >= 400 {
			t.Errorf("a call failed: %s %d", c.Action, c.Status)
		}
	}
	if n := w.used(made); n < 2 {
		t.Errorf("the client called with %d sessions", n)
	}
	if n := w.events(audit.Refreshed); n != len(made)-1 {
		t.Errorf("%d renewals in the audit log, want %d", n, len(made)-1)
	}
	w.settled()
	w.noSecrets("the job's log", res.Log)
}

// used is how many of the sessions AWS was called with.
func (w *world) used(made []sessionInfo) int {
	keys := map[string]bool{}
	for _, c := range w.aws.Calls() {
		keys[c.AccessKeyID] = true
	}
	n := 0
	for _, s := range made {
		if keys[s.AccessKeyID] {
			n++
		}
	}
	return n
}

// SDKs ask a loopback address without the proxy of their environment; what asks
// by itself, as curl does, needs NO_PROXY. Nothing listens at this proxy.
func TestAProxyIsNotAskedForCredentials(t *testing.T) {
	const proxy = "export http_proxy=http://127.0.0.1:1 HTTP_PROXY=http://127.0.0.1:1 https_proxy=http://127.0.0.1:1 HTTPS_PROXY=http://127.0.0.1:1; "
	w := shortWorld(t, `delivery = "endpoint"`, "60s")
	all := w.clients(t, w.mark(""))
	asks := map[string]string{
		"Go SDK":  "", // names its AWS
		"aws CLI": "aws configure list | grep container-role >/dev/null && echo the call was allowed",
		"boto3":   `python3 -c 'import boto3; print(boto3.Session().get_credentials().get_frozen_credentials().access_key[:4], "the call was allowed")'`,
		"curl":    "NO_PROXY=127.0.0.1 no_proxy=127.0.0.1; export NO_PROXY no_proxy; " + w.askEndpoint() + " | sed 's/status 200/the call was allowed/'",
	}
	for name, ask := range asks {
		t.Run(name, func(t *testing.T) {
			if all[name] == "" && name != "curl" {
				t.Skip("NOT TESTED: it is missing")
			}
			w := shortWorld(t, `delivery = "endpoint"`, "60s")
			if name == "Go SDK" {
				ask = clientFor("endpoint", w)
			}
			res := w.runner.Run(t.Context(), scripts(w, proxy+ask))
			if res.State != fakerunner.Success || !strings.Contains(res.Log, "the call was allowed") {
				t.Errorf("%s: %v\n%s", res.State, res.Err, res.Log)
			}
		})
	}
}
