package session

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"envrole/roles"
)

// startMoto runs moto_server on loopback and gives its URL. Without it the test
// is skipped, in CI it fails.
func startMoto(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("moto_server is not on PATH, and CI=true demands this test")
		}
		t.Skip("SKIPPED: moto_server is not on PATH (pip install 'moto[server]'); the session is not tested against it")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(listener.Addr().String())
	_ = listener.Close()

	var output bytes.Buffer
	cmd := exec.Command(path, "-H", host, "-p", port)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // moto_server may be a wrapper around a python
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
	})

	endpoint := "http://" + net.JoinHostPort(host, port)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for tick := time.NewTicker(100 * time.Millisecond); ; {
		select {
		case <-done:
			tick.Stop()
			t.Fatalf("moto_server ended:\n%s", output.String())
		case <-ctx.Done():
			tick.Stop()
			t.Fatal("moto_server does not answer")
		case <-tick.C:
		}
		if ready(ctx, endpoint+"/moto-api/data.json") {
			tick.Stop()
			return endpoint
		}
	}
}

func ready(ctx context.Context, address string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func TestASessionFromAnIndependentSTS(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	t.Setenv("AWS_ENDPOINT_URL", startMoto(t))
	b, err := LoadBase(t.Context(), "eu-central-1")
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*roles.Grant){
		"plain": nil,
		"everything": func(g *roles.Grant) {
			g.ExternalID, g.SourceIdentity, g.Duration = externalID, "session", 15*time.Minute
			g.Policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`
			g.PolicyARNs = []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"}
			g.Tags, g.TransitiveTags = map[string]string{"team": "shop"}, []string{"team"}
		},
		"chain": func(g *roles.Grant) { g.Chain = []string{hubARN} },
	} {
		t.Run(name, func(t *testing.T) {
			r := request(t, edit)
			r.Name, err = NewName(4711)
			if err != nil {
				t.Fatal(err)
			}
			before := time.Now()
			bound := b.LatestExpiry(r, before)
			s, err := b.Lend(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(s.AccessKeyID, "ASIA") || s.SecretAccessKey.Empty() || s.SessionToken.Empty() {
				t.Errorf("credentials of key %q are not a session's", s.AccessKeyID)
			}
			if !strings.HasSuffix(s.AssumedRoleID, ":"+r.Name) || !strings.HasSuffix(s.AssumedRoleARN, "/"+r.Name) {
				t.Errorf("assumed role %s, %s", s.AssumedRoleID, s.AssumedRoleARN)
			}
			if s.ServerTime.IsZero() || !s.Expiration.After(before) || s.Expiration.After(bound) {
				t.Errorf("expiration %s, bound %s, server time %s", s.Expiration, bound, s.ServerTime)
			}
		})
	}
}
