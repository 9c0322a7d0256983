package fakeaws

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// cli runs the aws CLI with env and nothing else of this process's but PATH and
// HOME.
func cli(t *testing.T, env []string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("aws")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("the aws CLI is not on PATH, and CI must have it")
		}
		t.Skip("SKIPPED: the aws CLI is not on PATH; the stand-in is not compared with botocore")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_PAGER=", "AWS_MAX_ATTEMPTS=1"}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestTheAWSCommandLineWorks(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy(), revoker()}})
	user, err := s.Env(DefaultUser)
	if err != nil {
		t.Fatal(err)
	}
	out, err := cli(t, user, "sts", "assume-role", "--role-arn", deployRole, "--role-session-name", "gl-1", "--tags", "Key=project,Value=acme/shop")
	if err != nil {
		t.Fatal(out)
	}
	var answer struct {
		Credentials struct{ AccessKeyID, SecretAccessKey, SessionToken string }
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatal(err)
	}
	c := answer.Credentials
	session := append(s.EndpointEnv(), Environ(aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken})...)
	if out, err := cli(t, session, "s3api", "list-buckets", "--endpoint-url", s.URL()); err != nil || !strings.Contains(out, "artifacts-111122223333") {
		t.Fatal(out)
	}
	admin := append(s.EndpointEnv(), Environ(assume(t, s, runner(t, s), revokerRole, "revoker"))...)
	if out, err := cli(t, admin, "iam", "put-role-policy", "--role-name", "deploy", "--policy-name", "p", "--policy-document", denyName("gl-1")); err != nil {
		t.Fatal(out)
	}
	out, err = cli(t, session, "s3api", "list-buckets")
	if err == nil || !strings.Contains(out, "(AccessDenied)") || !strings.Contains(out, "with an explicit deny in an identity-based policy") {
		t.Errorf("denied session: %s", out)
	}
	if out, err := cli(t, session, "sts", "get-caller-identity"); err != nil || !strings.Contains(out, "assumed-role/deploy/gl-1") {
		t.Error(out)
	}
	out, err = cli(t, append(session, "AWS_SECRET_ACCESS_KEY=wrong"), "sts", "get-caller-identity")
	if err == nil || !strings.Contains(out, "(SignatureDoesNotMatch)") {
		t.Errorf("wrong secret: %s", out)
	}
}
