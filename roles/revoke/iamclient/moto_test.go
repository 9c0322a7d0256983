package iamclient

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"envrole/roles/lease"
	"envrole/roles/revoke"
)

// moto runs moto_server on a free loopback port and gives its URL.
func moto(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("moto_server is not on PATH, and CI=true demands this test")
		}
		t.Skip("SKIPPED: moto_server is not on PATH (pip install 'moto[server]'); IAM is not tested against it")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	_ = l.Close()
	var out bytes.Buffer
	cmd := exec.Command(path, "-H", "127.0.0.1", "-p", port)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it may be a wrapper around a python
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var once sync.Once
	go func() { _ = cmd.Wait(); once.Do(func() { close(ended) }) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	})
	for deadline := time.Now().Add(90 * time.Second); ; {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			return "http://" + address
		}
		select {
		case <-ended:
			t.Fatalf("moto_server ended:\n%s", out.String())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("moto_server does not answer")
		}
	}
}

func TestRealPoliciesAreWrittenListedAndDeleted(t *testing.T) {
	base := config(moto(t))
	admin := iam.NewFromConfig(base)
	ctx := t.Context()
	if _, err := admin.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: aws.String("deploy"), Path: aws.String("/shop/"), AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[]}`),
	}); err != nil {
		t.Fatal(err)
	}
	const role = "arn:aws:iam::111122223333:role/shop/deploy"
	clients := New(Config{AWS: base, RevokerARN: template, Credentials: func(_ context.Context, arn string) (aws.CredentialsProvider, error) {
		if arn != "arn:aws:iam::111122223333:role/envrole-revoker" {
			t.Errorf("assumes %s", arn)
		}
		return base.Credentials, nil
	}})

	l, err := lease.Open(t.TempDir() + "/state")
	if err != nil {
		t.Fatal(err)
	}
	id, err := lease.NewID()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := l.Create(ctx, lease.Lease{
		ID: id, State: lease.Asked, JobID: 7, RoleARN: role, SessionName: "gl-7-" + id[:13], Revoke: "policy",
		AskedAt: now, ExpiresAt: now.Add(time.Hour), Deadline: now.Add(2 * time.Hour),
	}); err != nil {
		t.Fatal(err)
	}
	rep, err := revoke.New(l, clients.Connect, revoke.Options{}).Revoke(ctx, id)
	if err != nil || rep.Count(revoke.Denied) != 1 {
		t.Fatalf("%+v, %v", rep, err)
	}
	le, err := l.Get(id)
	if err != nil {
		t.Fatal(err)
	}
	name := revoke.PolicyName(le.Writer, le.Window)
	want, err := revoke.Document([]revoke.Entry{{SessionName: le.SessionName}})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := admin.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: aws.String("deploy"), PolicyName: &name})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := url.QueryUnescape(*stored.PolicyDocument); err != nil || got != want {
		t.Errorf("stored %s, %v\nwant %s", got, err, want)
	}

	c, err := clients.Connect(ctx, role)
	if err != nil {
		t.Fatal(err)
	}
	names, at, err := c.ListRolePolicies(ctx, role)
	if err != nil || !slices.Equal(names, []string{name}) || time.Since(at).Abs() > time.Minute {
		t.Errorf("list = %v, %v, %v", names, at, err)
	}
	at, err = c.PutRolePolicy(ctx, role, name, want)
	if err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("put = %v, %v", at, err)
	}
	if err := c.DeleteRolePolicy(ctx, role, name); err != nil {
		t.Error(err)
	}
	if names, _, err := c.ListRolePolicies(ctx, role); err != nil || len(names) != 0 {
		t.Errorf("after delete: %v, %v", names, err)
	}
	if err := c.DeleteRolePolicy(ctx, role, name); !errors.Is(err, revoke.ErrNotFound) {
		t.Errorf("second delete = %v", err)
	}
	if _, err := c.PutRolePolicy(ctx, role+"2", name, want); !errors.Is(err, revoke.ErrNotFound) {
		t.Errorf("put on no role = %v", err)
	}
}

// config is a configuration for a loopback endpoint: nothing else is asked.
func config(endpoint string) aws.Config {
	return aws.Config{
		Region: "eu-central-1", BaseEndpoint: &endpoint, HTTPClient: &http.Client{Timeout: 30 * time.Second},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: secret, SessionToken: token}, nil
		}),
	}
}

const (
	template      = "arn:{partition}:iam::{account}:role/envrole-revoker"
	secret, token = "a-secret-access-key", "a-session-token"
)
