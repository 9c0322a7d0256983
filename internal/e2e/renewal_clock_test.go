package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"envrole/internal/fakerunner"
)

// toldScript shows, by this host's clock, how many seconds tools are told that
// the session lasts.
func toldScript(delivery string) string {
	from := map[string]string{
		"env":      `told=$AWS_CREDENTIAL_EXPIRATION`,
		"endpoint": `told=$(curl -s -H "Authorization: $AWS_CONTAINER_AUTHORIZATION_TOKEN" "$AWS_CONTAINER_CREDENTIALS_FULL_URI" | sed -n 's/.*"Expiration":"\([^"]*\)".*/\1/p')`,
		"profile":  `told=$($(sed -n 's/^credential_process = //p' "$AWS_CONFIG_FILE") | sed -n 's/.*"Expiration":"\([^"]*\)".*/\1/p')`,
	}[delivery]
	return from + `; echo "told: $(( $(date -d "$told" +%s) - $(date +%s) )) seconds"`
}

// AWS's clock and the host's are ten minutes apart, either way. Tools know only
// the host's, so that is what they are told the end by.
func TestToolsAreToldTheEndByTheirOwnClock(t *testing.T) {
	for _, skew := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		for _, delivery := range []string{"env", "endpoint", "profile"} {
			t.Run(fmt.Sprint(delivery, " ", skew), func(t *testing.T) {
				t.Parallel()
				w := shortWorld(t, `delivery = "`+delivery+`"`, "120s")
				w.aws.SetClockOffset(skew)
				res := w.runner.Run(t.Context(), scripts(w, toldScript(delivery)+"; "+clientFor(delivery, w)))
				if res.State != fakerunner.Success || !strings.Contains(res.Log, "the call was allowed") {
					t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
				}
				_, text, _ := strings.Cut(res.Log, "told: ")
				// Two minutes, less a tenth, less what this machine took.
				if told := atoi(strings.Fields(text + " none")[0]); told < 60 || told > 110 {
					t.Errorf("told %d seconds\n%s", told, res.Log)
				}
				w.settled()
			})
		}
	}
}

// botocore reads AWS_CREDENTIAL_EXPIRATION: an end in the past is an error to it.
func TestBoto3TakesTheKeysOfItsEnvironmentUnderAWrongClock(t *testing.T) {
	if err := exec.Command("python3", "-c", "import boto3").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("boto3 is missing")
		}
		t.Skip("NOT TESTED: boto3 is missing")
	}
	for _, skew := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			w := shortWorld(t, "", "120s")
			w.aws.SetClockOffset(skew)
			res := w.runner.Run(t.Context(), scripts(w, fmt.Sprintf(`python3 -c 'import boto3; boto3.client("s3", endpoint_url="%s").list_buckets(); print("boto3 is content")'`, w.aws.URL())))
			if res.State != fakerunner.Success || !strings.Contains(res.Log, "boto3 is content") {
				t.Errorf("%s: %v\n%s", res.State, res.Err, res.Log)
			}
			w.settled()
		})
	}
}
