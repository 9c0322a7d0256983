package fakeaws

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
)

const (
	deployRole  = "arn:aws:iam::111122223333:role/ci/deploy"
	otherRole   = "arn:aws:iam::111122223333:role/other"
	foreignRole = "arn:aws:iam::444455556666:role/deploy"
	revokerRole = "arn:aws:iam::111122223333:role/envrole-revoker"
)

func deploy() Role {
	return Role{
		ARN: deployRole, MaxSessionDuration: 2 * time.Hour, TrustedPrincipals: []string{DefaultUser},
		AllowTagSession: true, AllowSetSourceIdentity: true,
	}
}

func revoker() Role {
	return Role{
		ARN: revokerRole, TrustedPrincipals: []string{DefaultUser},
		Allow: []Permission{{Actions: []string{"iam:*RolePolicy", "iam:ListRolePolicies", "iam:GetRole"}, Resources: []string{deployRole}}},
	}
}

func start(t *testing.T, opts Options) *Server {
	t.Helper()
	s, err := Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// config is what an SDK client needs; one attempt, so that every refusal shows.
func config(s *Server, c aws.Credentials) aws.Config {
	return aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(s.URL()),
		Credentials:      aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil }),
		RetryMaxAttempts: 1,
		HTTPClient:       &http.Client{Transport: &http.Transport{}},
	}
}

func runner(t *testing.T, s *Server) aws.Credentials {
	t.Helper()
	c, err := s.Credentials(DefaultUser)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func stsAs(s *Server, c aws.Credentials) *sts.Client { return sts.NewFromConfig(config(s, c)) }
func iamAs(s *Server, c aws.Credentials) *iam.Client { return iam.NewFromConfig(config(s, c)) }

func assume(t *testing.T, s *Server, c aws.Credentials, role, name string) aws.Credentials {
	t.Helper()
	out, err := stsAs(s, c).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return aws.Credentials{
		AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey,
		SessionToken: *out.Credentials.SessionToken,
	}
}

// wantCode checks AWS's error code, and a part of its message.
func wantCode(t *testing.T, err error, code, part string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) {
		t.Fatalf("want %s, have %v", code, err)
	}
	if e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), part) {
		t.Fatalf("want %s with %q, have %s: %s", code, part, e.ErrorCode(), e.ErrorMessage())
	}
}

func wantProbe(t *testing.T, s *Server, c aws.Credentials, code string) {
	t.Helper()
	have, err := Probe(t.Context(), s.URL(), c)
	if err != nil {
		t.Fatal(err)
	}
	if have != code {
		t.Fatalf("ordinary call: want %q, have %q", code, have)
	}
}
