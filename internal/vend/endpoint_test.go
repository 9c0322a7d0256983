package vend

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func lent() Credentials {
	return Credentials{
		AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "the-secret-key", SessionToken: "the-session-token",
		Expiration: time.Date(2026, 11, 22, 20, 0, 0, 7, time.FixedZone("CET", 3600)), AccountID: "111122223333",
	}
}

func always(context.Context) (Credentials, error) { return lent(), nil }

func endpoint(t testing.TB, p Provider) (e *Endpoint, uri, token string) {
	t.Helper()
	ln, err := Loopback(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if e, err = Serve(ln, p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	env := e.Env()
	return e, strings.TrimPrefix(env[0], "AWS_CONTAINER_CREDENTIALS_FULL_URI="), strings.TrimPrefix(env[1], "AWS_CONTAINER_AUTHORIZATION_TOKEN=")
}

func get(t testing.TB, uri, token string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestTheAnswerIsTheContainerProtocols(t *testing.T) {
	_, uri, token := endpoint(t, always)
	resp, body := get(t, uri, token)
	if resp.StatusCode != http.StatusOK || !slices.Equal(resp.Header["Content-Type"], []string{"application/json"}) {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "the-secret-key", "Token": "the-session-token",
		"Expiration": "2026-11-22T19:00:00Z", "AccountId": "111122223333",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v", got)
	}
}

// raw sends bytes as they are and gives all that comes back.
func raw(t *testing.T, host, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp4", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(conn, request)
	b, _ := io.ReadAll(conn)
	return string(b)
}

func TestNobodyElseGetsCredentials(t *testing.T) {
	e, _, token := endpoint(t, always)
	const line, crlf = "GET /v1/credentials HTTP/1.1", "\r\n"
	_, port, err := net.SplitHostPort(e.host)
	if err != nil {
		t.Fatal(err)
	}
	host, auth := "Host: "+e.host, "Authorization: "+token
	request := func(lines ...string) string { return strings.Join(lines, crlf) + crlf + crlf }
	if got := raw(t, e.host, request(line, host, auth)); !strings.Contains(got, "the-secret-key") {
		t.Fatalf("the genuine request gets %q", got)
	}
	for what, text := range map[string]string{
		"no token":                    request(line, host),
		"an empty token":              request(line, host, "Authorization: "),
		"a wrong token":               request(line, host, "Authorization: "+strings.Repeat("A", len(token))),
		"a beginning of the token":    request(line, host, "Authorization: "+token[:len(token)-1]),
		"a longer token":              request(line, host, auth+"A"),
		"a scheme before it":          request(line, host, "Authorization: Bearer "+token),
		"two tokens":                  request(line, host, "Authorization: x", auth),
		"the token in a cookie":       request(line, host, "Cookie: Authorization="+token),
		"a page's own host":           request(line, "Host: attacker.example:"+port, auth),
		"localhost":                   request(line, "Host: localhost:"+port, auth),
		"another loopback address":    request(line, "Host: 127.0.0.2:"+port, auth),
		"no port":                     request(line, "Host: 127.0.0.1", auth),
		"no host":                     request("GET /v1/credentials HTTP/1.0", auth),
		"two hosts":                   request(line, host, "Host: attacker.example", auth),
		"a page's origin":             request(line, host, auth, "Origin: https://attacker.example"),
		"a null origin":               request(line, host, auth, "Origin: null"),
		"a browser's fetch":           request(line, host, auth, "Sec-Fetch-Site: cross-site"),
		"POST":                        request("POST /v1/credentials HTTP/1.1", host, auth, "Content-Length: 0"),
		"HEAD":                        request("HEAD /v1/credentials HTTP/1.1", host, auth),
		"OPTIONS":                     request("OPTIONS /v1/credentials HTTP/1.1", host, auth, "Origin: https://a.example", "Access-Control-Request-Method: GET"),
		"CONNECT":                     request("CONNECT "+e.host+" HTTP/1.1", host, auth),
		"PUT for a metadata token":    request("PUT /latest/api/token HTTP/1.1", host, auth, "Content-Length: 0"),
		"the root":                    request("GET / HTTP/1.1", host, auth),
		"a path below":                request("GET /v1/credentials/ HTTP/1.1", host, auth),
		"a path with dots":            request("GET /v1/../v1/credentials HTTP/1.1", host, auth),
		"an escaped path":             request("GET /v1/%63redentials HTTP/1.1", host, auth),
		"a query":                     request("GET /v1/credentials?a=b HTTP/1.1", host, auth),
		"a whole address":             request("GET http://"+e.host+"/v1/credentials HTTP/1.1", host, auth),
		"a body":                      request(line, host, auth, "Content-Length: 1") + "x",
		"a chunked body":              request(line, host, auth, "Transfer-Encoding: chunked") + "1\r\nx\r\n0\r\n\r\n",
		"large headers":               request(line, host, auth, "X: "+strings.Repeat("x", 64<<10)),
		"no HTTP":                     "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"a second request in the row": request(line, host) + request(line, host, auth),
	} {
		got := raw(t, e.host, text)
		if strings.Contains(got, "the-s") || strings.Contains(got, "ASIA") {
			t.Errorf("%s gets credentials: %q", what, got)
		}
		if strings.Contains(got, "Access-Control") || strings.Contains(got, token) {
			t.Errorf("%s: %q", what, got)
		}
		if status, _, _ := strings.Cut(got, crlf); strings.Contains(status, " 200 ") {
			t.Errorf("%s: %s", what, status)
		}
	}
}

func TestEachEndpointHasItsOwnToken(t *testing.T) {
	_, one, tokenOne := endpoint(t, always)
	_, two, tokenTwo := endpoint(t, always)
	if one == two || tokenOne == tokenTwo || len(tokenOne) < 43 || strings.ContainsAny(tokenOne, " \r\n") {
		t.Errorf("%s %s %s %s", one, two, tokenOne, tokenTwo)
	}
	if resp, _ := get(t, two, tokenOne); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("another job's token: %d", resp.StatusCode)
	}
}

// Slow and idle connections, far more than allowed, do not keep the job's own
// request from its answer.
func TestACrowdOfSlowConnectionsStopsNobody(t *testing.T) {
	e, uri, token := endpoint(t, always)
	var crowd []net.Conn
	defer func() {
		for _, c := range crowd {
			_ = c.Close()
		}
	}()
	for i := range 4 * maxConns {
		c, err := net.Dial("tcp4", e.host)
		if err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, c)
		if i%2 == 0 {
			_, _ = io.WriteString(c, "GET /v1/credentials HTTP/1.1\r\nX-Slow: ")
		}
	}
	if resp, body := get(t, uri, token); resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	// The oldest were closed for the newer ones, without a word.
	_ = crowd[0].SetReadDeadline(time.Now().Add(20 * time.Second))
	if b, err := io.ReadAll(crowd[0]); errors.Is(err, context.DeadlineExceeded) || strings.Contains(string(b), "ASIA") {
		t.Errorf("the oldest connection: %q %v", b, err)
	}
}

// Who sends the beginning of a request, or nothing, gets nothing and is closed.
func TestAHalfRequestIsClosedWithoutAWord(t *testing.T) {
	e, _, token := endpoint(t, always)
	for _, half := range []string{"", "GET /v1/cred", "GET /v1/credentials HTTP/1.1\r\nHost: " + e.host + "\r\nAuthorization: " + token + "\r\n"} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			if got := raw(t, e.host, half); got != "" {
				t.Errorf("of %q: %q", half, got)
			}
		})
	}
}

// A client that asks and never reads is closed in the end: its answer fits into
// the kernel's buffers, and no connection is kept alive.
func TestASlowReaderIsNotWaitedFor(t *testing.T) {
	e, _, token := endpoint(t, always)
	c, err := net.Dial("tcp4", e.host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = fmt.Fprintf(c, "GET /v1/credentials HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\n\r\n", e.host, token)
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(c)
	b, err := io.ReadAll(r)
	if err != nil || !strings.Contains(string(b), "Connection: close") {
		t.Errorf("%q %v", b, err)
	}
}

func TestWhatCannotBeGivenSaysWhy(t *testing.T) {
	for _, tc := range []struct {
		err    error
		status int
		code   string
	}{
		{fmt.Errorf("%w: the lease is closing", ErrRefused), http.StatusForbidden, "CredentialsRefused"},
		{errors.New("STS is down"), http.StatusServiceUnavailable, "CredentialsUnavailable"},
	} {
		_, uri, token := endpoint(t, func(context.Context) (Credentials, error) { return Credentials{}, tc.err })
		resp, body := get(t, uri, token)
		var got struct{ Code, Message string }
		if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != tc.status || got.Code != tc.code || got.Message != tc.err.Error() {
			t.Errorf("%d %s %v", resp.StatusCode, body, err)
		}
	}
}

func TestAClosedEndpointIsGone(t *testing.T) {
	e, _, _ := endpoint(t, always)
	open, err := net.Dial("tcp4", e.host)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp4", e.host); err == nil {
		_ = c.Close()
		t.Error("somebody still listens")
	}
	_ = open.SetReadDeadline(time.Now().Add(20 * time.Second))
	if b, _ := io.ReadAll(open); len(b) > 0 {
		t.Errorf("a connection of before got %q", b)
	}
}

func TestManyAskAtOnce(t *testing.T) {
	_, uri, token := endpoint(t, always)
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if resp, _ := get(t, uri, token); resp.StatusCode != http.StatusOK {
				t.Errorf("%d", resp.StatusCode)
			}
		})
	}
	wg.Wait()
}

func BenchmarkRequest(b *testing.B) {
	_, uri, token := endpoint(b, always)
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		get(b, uri, token)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
