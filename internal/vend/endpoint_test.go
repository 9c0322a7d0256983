package vend

import (
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
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hopeless is when a test gives up waiting, on whatever machine.
const hopeless = time.Minute

func lent() Credentials {
	return Credentials{
		AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "the-secret-key", SessionToken: "the-session-token",
		Expiration: time.Date(2026, 11, 22, 20, 0, 0, 7, time.FixedZone("CET", 3600)), AccountID: "111122223333",
	}
}

func always(context.Context) (Credentials, error) { return lent(), nil }

// counted is a listener that says how many of its connections were let in: who
// asks for the next one has done with those before.
type counted struct {
	net.Listener
	asked atomic.Int64
}

func (c *counted) Accept() (net.Conn, error) {
	c.asked.Add(1)
	return c.Listener.Accept()
}

func (c *counted) letIn() int64 { return c.asked.Load() - 1 }

func endpoint(t testing.TB, p Provider) (e *Endpoint, uri, token string) {
	t.Helper()
	ln, err := Loopback(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if e, err = Serve(&counted{Listener: ln}, p); err != nil {
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
	_ = conn.SetDeadline(time.Now().Add(hopeless))
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
		"another port":                request(line, "Host: 127.0.0.1:1", auth),
		"an empty port":               request(line, "Host: 127.0.0.1:", auth),
		"a page's host, no port":      request(line, "Host: attacker.example", auth),
		"a page below our address":    request(line, "Host: 127.0.0.1.attacker.example", auth),
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

// What the AWS Common Runtime sends, and with it Swift's SDK, Mountpoint for S3 and
// the PyTorch connector: Host without the port. No page can: browsers leave out
// port 80 alone, and a name is no address.
func TestTheCommonRuntimesHostIsAnswered(t *testing.T) {
	e, _, token := endpoint(t, always)
	got := raw(t, e.host, "GET /v1/credentials HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: "+token+
		"\r\nAccept: application/json\r\nAccept-Encoding: identity\r\nUser-Agent: aws-sdk-crt/ecs-credentials-provider\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.Contains(got, "the-secret-key") {
		t.Errorf("got %q", got)
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

// gone fails unless the other side closed the connection without a word.
func gone(t *testing.T, what string, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(hopeless)); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if len(b) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%s: %q %v", what, b, err)
	}
}

// members are the connections that a crowd holds, by the clients' addresses.
func (c *crowd) members() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, m := range c.open {
		out = append(out, m.RemoteAddr().String())
	}
	return out
}

// Slow and idle connections, far more than allowed, do not keep the job's own
// request from its answer.
func TestACrowdOfSlowConnectionsStopsNobody(t *testing.T) {
	e, uri, token := endpoint(t, always)
	var first net.Conn
	for i := range 4 * maxConns {
		c, err := net.Dial("tcp4", e.host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i == 0 {
			first = c
		}
		if i%2 == 0 {
			_, _ = io.WriteString(c, "GET /v1/credentials HTTP/1.1\r\nX-Slow: ")
		}
		if n := len(e.crowd.members()); n > maxConns {
			t.Fatalf("%d connections are open", n)
		}
	}
	if resp, body := get(t, uri, token); resp.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	// All of them came before the request that was answered.
	open := e.crowd.members()
	if len(open) > maxConns || slices.Contains(open, first.LocalAddr().String()) {
		t.Errorf("the oldest of %d is among the %d that are open", 4*maxConns, len(open))
	}
	gone(t, "the oldest connection", first)
}

// A request that has shown the token waits for a renewal. Those who show none
// cannot push it out.
func TestACrowdDoesNotPushOutWhoWaitsForARenewal(t *testing.T) {
	asked, renewed := make(chan struct{}, maxTrusted+1), make(chan struct{})
	e, _, token := endpoint(t, func(context.Context) (Credentials, error) {
		asked <- struct{}{}
		<-renewed
		return lent(), nil
	})
	request := "GET /v1/credentials HTTP/1.1\r\nHost: " + e.host + "\r\nAuthorization: "
	genuine := make([]string, maxTrusted)
	var all sync.WaitGroup
	for i := range genuine {
		all.Go(func() { genuine[i] = raw(t, e.host, request+token+"\r\n\r\n") })
		<-asked
	}
	for i := range 500 {
		c, err := net.Dial("tcp4", e.host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 {
			_, _ = io.WriteString(c, request+"wrong")
		}
	}
	ln := e.crowd.Listener.(*counted) //nolint:forcetypeassert // see endpoint
	eventually(t, "all have been let in", func() bool { return ln.letIn() == maxTrusted+500 })
	// Nor can the job itself take the endpoint with requests that wait.
	late, err := net.Dial("tcp4", e.host)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	if _, err := io.WriteString(late, request+token+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-asked
	e.crowd.mu.Lock()
	n := e.crowd.trusted()
	e.crowd.mu.Unlock()
	if n != maxTrusted {
		t.Errorf("%d connections cannot be pushed out, want %d", n, maxTrusted)
	}
	close(renewed)
	all.Wait()
	for i, got := range genuine {
		if !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Errorf("request %d that waited got %q", i, got)
		}
	}
}

// Who sends the beginning of a request, or nothing, gets nothing and is closed.
func TestAHalfRequestIsClosedWithoutAWord(t *testing.T) {
	e, _, token := endpoint(t, always)
	for _, half := range []string{"", "GET /v1/cred", "GET /v1/credentials HTTP/1.1\r\nHost: " + e.host + "\r\nAuthorization: " + token + "\r\n"} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			c, err := net.Dial("tcp4", e.host)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, half); err != nil {
				t.Fatal(err)
			}
			gone(t, fmt.Sprintf("%q", half), c)
		})
	}
}

// A client that asks and never reads is closed in the end, though its answer
// does not fit into the kernel's buffers, and others are served meanwhile.
func TestASlowReaderIsNotWaitedFor(t *testing.T) {
	var long atomic.Bool
	long.Store(true)
	e, uri, token := endpoint(t, func(context.Context) (Credentials, error) {
		c := lent()
		if long.Swap(false) {
			c.SessionToken = strings.Repeat("t", 32<<20)
		}
		return c, nil
	})
	small := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10) }), err)
	}}
	c, err := small.DialContext(t.Context(), "tcp4", e.host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	if _, err := fmt.Fprintf(c, "GET /v1/credentials HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\n\r\n", e.host, token); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is asked", func() bool { return !long.Load() })
	if resp, body := get(t, uri, token); resp.StatusCode != http.StatusOK {
		t.Errorf("beside a slow reader: %d %s", resp.StatusCode, body)
	}
	if !slices.Contains(e.crowd.members(), c.LocalAddr().String()) && time.Since(began) < writeLimit {
		t.Error("the slow reader was closed before its time")
	}
	eventually(t, "the slow reader is closed", func() bool { return !slices.Contains(e.crowd.members(), c.LocalAddr().String()) })
}

func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(hopeless); !met(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
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
	asked, end := make(chan struct{}), make(chan struct{})
	e, _, token := endpoint(t, func(context.Context) (Credentials, error) {
		close(asked)
		<-end // only Close can end the connection
		return lent(), nil
	})
	defer close(end)
	request := "GET /v1/credentials HTTP/1.1\r\nHost: " + e.host + "\r\nAuthorization: " + token + "\r\n\r\n"
	open, err := net.Dial("tcp4", e.host)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if _, err := io.WriteString(open, request); err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	// Somebody else may have got the port: it does not know the token.
	if c, err := net.Dial("tcp4", e.host); err == nil {
		_ = c.Close()
		if got := raw(t, e.host, request); strings.Contains(got, "the-secret-key") {
			t.Error("it still answers")
		}
	}
	gone(t, "a connection of before", open)
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
