package fakegitlab

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const agentsPath = "/api/v4/job/allowed_agents"

func TestFaultsAreTakenInOrderAndUsedUp(t *testing.T) {
	s, _ := start(t, Options{}, "production")
	s.Push(
		Fault{Endpoint: Environments, Status: 403, Body: `{"message":"403 Forbidden"}`},
		Fault{Endpoint: AllowedAgents, Times: 2, Status: 503, RetryAfter: "7"},
	)
	for _, want := range []int{503, 503, 200} {
		resp, body := get(t, s, agentsPath, token)
		if resp.StatusCode != want {
			t.Fatalf("have %s, want %d", resp.Status, want)
		}
		if want == 503 && (resp.Header.Get("Retry-After") != "7" || len(body) != 0) {
			t.Errorf("Retry-After %q, body %q", resp.Header.Get("Retry-After"), body)
		}
	}
	if resp, body := get(t, s, "/api/v4/projects/150/environments", token); resp.StatusCode != http.StatusForbidden || string(body) != `{"message":"403 Forbidden"}` {
		t.Errorf("%s %s", resp.Status, body)
	}
}

func TestBodiesCanBeSpoiled(t *testing.T) {
	s, _ := start(t, Options{}, "production")
	_, good := get(t, s, agentsPath, token)
	for name, c := range map[string]struct {
		fault Fault
		right func(resp *http.Response, body []byte) bool
	}{
		"garbage":      {Fault{Body: "<html>"}, func(_ *http.Response, b []byte) bool { return string(b) == "<html>" }},
		"truncated":    {Fault{Truncate: true}, func(_ *http.Response, b []byte) bool { return len(b) == len(good)/2 && !json.Valid(b) }},
		"oversized":    {Fault{Oversize: 1 << 20}, func(_ *http.Response, b []byte) bool { return len(b) == len(good)+1<<20 && json.Valid(b) }},
		"content type": {Fault{ContentType: "text/html"}, func(r *http.Response, _ []byte) bool { return r.Header.Get("Content-Type") == "text/html" }},
		"other ids": {
			Fault{Mutate: func(b []byte) []byte { return bytes.Replace(b, []byte("9876543"), []byte("9876544"), 1) }},
			func(_ *http.Response, b []byte) bool { return strings.Contains(string(b), `"job":{"id":9876544}`) },
		},
	} {
		s.Push(c.fault)
		if resp, body := get(t, s, agentsPath, token); !c.right(resp, body) {
			t.Errorf("%s: %s %.80q", name, resp.Status, body)
		}
	}
	s.Push(Fault{Extra: []Environment{{Name: "production", Slug: "production-abc"}}}, Fault{IgnoreName: true})
	var records []Environment
	_, body := get(t, s, "/api/v4/projects/150/environments?name=production", token)
	if err := json.Unmarshal(body, &records); err != nil || len(records) != 2 || records[1].Slug != "production-abc" {
		t.Errorf("extra records: %s", body)
	}
	_, body = get(t, s, "/api/v4/projects/150/environments?name=nothing", token)
	if err := json.Unmarshal(body, &records); err != nil || len(records) != 1 {
		t.Errorf("ignored name: %s", body)
	}
}

// net/http forwards a JOB-TOKEN header to another host: the very mistake a
// client must not make, and that this stand-in must notice.
func TestARedirectShowsWhetherTheTokenWentAlong(t *testing.T) {
	s, _ := start(t, Options{TLS: true}, "production")
	s.Push(Fault{Redirect: true}, Fault{RedirectTo: s.ElsewhereURL() + "/other?t=" + token})
	get(t, s, agentsPath, token)
	get(t, s, agentsPath, "wrong")
	v := s.Visits()
	if len(v) != 2 || !v[0].TokenArrived || !v[1].TokenArrived || strings.Contains(v[1].Path, token) {
		t.Errorf("%+v", v)
	}
	if v[0].Path != agentsPath {
		t.Errorf("path %s", v[0].Path)
	}
}

func TestHangsEndWithTheClientOrTheServer(t *testing.T) {
	s, _ := start(t, Options{}, "production")
	s.Push(Fault{Hang: true}, Fault{HangInBody: true}, Fault{Drop: true})
	ask := func(ctx context.Context) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+agentsPath, nil)
		if err != nil {
			return err
		}
		r.Header.Set("JOB-TOKEN", token)
		resp, err := client(s).Do(r)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		_, err = io.ReadAll(resp.Body)
		return err
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ask(ctx) }()
	if err := s.WaitFor(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("hang: %v", err)
	}
	go func() { done <- ask(t.Context()) }()
	if err := s.WaitFor(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil {
		t.Error("a body that hangs was read to its end")
	}
}

func TestDropGivesNoAnswer(t *testing.T) {
	s, _ := start(t, Options{}, "production")
	// Twice: net/http repeats a GET once whose kept connection was dropped.
	s.Push(Fault{Drop: true, Times: 2, Delay: time.Millisecond})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+agentsPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client(s).Do(r)
	if err == nil {
		_ = resp.Body.Close()
		t.Fatal("an answer came")
	}
}

func TestTLSNeedsTheServersCA(t *testing.T) {
	s, _ := start(t, Options{TLS: true}, "production")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL()+agentsPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{}}).Do(r)
	if err == nil {
		_ = resp.Body.Close()
	}
	var bad *tls.CertificateVerificationError
	if !errors.As(err, &bad) {
		t.Fatalf("want a certificate error, have %v", err)
	}
}
