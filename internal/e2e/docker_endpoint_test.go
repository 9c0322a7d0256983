package e2e

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"envrole/internal/audit"
	"envrole/internal/dockertest"
	"envrole/internal/fakerunner"
)

// retrieves makes this program a tool of a job in a container, where AWS itself
// is out of reach: the Go SDK gets credentials by its own chain until it has
// seen so many sessions.
const retrieves = "ENVROLE_E2E_RETRIEVE"

func retriever(sessions string) int {
	want, err := strconv.Atoi(sessions)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		fmt.Println("configuration:", err)
		return 1
	}
	for seen := map[string]bool{}; len(seen) < want; time.Sleep(20 * time.Millisecond) {
		creds, err := cfg.Credentials.Retrieve(ctx)
		if err != nil {
			fmt.Println("no credentials:", err)
			return 1
		}
		if !seen[creds.AccessKeyID] {
			seen[creds.AccessKeyID] = true
			fmt.Println("key", creds.AccessKeyID)
		}
	}
	return 0
}

// A genuine client in a container outlives its sessions: the endpoint on the
// container's own loopback is this stage's.
func TestAScriptInAContainerOutlivesItsSessions(t *testing.T) {
	d := dockertest.Start(t)
	image := dockertest.Full()
	image.Add("/client", os.Args[0])
	d.Import(t, "client:latest", image)
	w := shortWorld(t, "", "12s")
	w.inContainers(d, productionRule, "allowed_services = [\"full:*\"]\n[session]\ndelivery = \"endpoint\"")
	w.replaceConfig(`allowed_images = ["full:*"]`, `allowed_images = ["client:*"]`)
	payload := w.with(w.payload("honest_production"), object{"image": object{"name": "client"}})
	res := w.run(payload, `
echo "keys in the environment: $(env | grep -c -e ^AWS_SECRET -e ^AWS_SESSION -e ^AWS_ACCESS)"
echo "the token is $AWS_CONTAINER_AUTHORIZATION_TOKEN"
`+retrieves+`=3 /client || exit 3
wget -q -O - "$AWS_CONTAINER_CREDENTIALS_FULL_URI" || echo "nothing without the token"`)
	if res.State != fakerunner.Success {
		t.Fatalf("%s: %v\n%s\n%s", res.State, res.Err, res.Log, res.Cleanup)
	}
	for _, want := range []string{"keys in the environment: 0", "the token is [MASKED]", "nothing without the token"} {
		if !strings.Contains(res.Log, want) {
			t.Errorf("the log lacks %q:\n%s", want, res.Log)
		}
	}
	made := w.generations()
	if len(made) < 3 || !made[0].Expired {
		t.Errorf("%d sessions, the first expired: %t", len(made), len(made) > 0 && made[0].Expired)
	}
	for i := range min(3, len(made)) {
		if !strings.Contains(res.Log, "key "+made[i].AccessKeyID) {
			t.Errorf("session %d was not seen:\n%s", i, res.Log)
		}
	}
	if n := w.events(audit.Refreshed); n < 2 {
		t.Errorf("%d renewals in the audit log", n)
	}
	w.oneName()
	w.settled()
	w.noSecrets("the job's log", res.Log)
	w.noSecrets("the Engine's log", d.Log())
	if left := ofJobs(t, d); left != "" {
		t.Errorf("left in the Engine: %s\n%s", left, res.Cleanup)
	}
}
