package vend

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

const genuine = "GET /v1/credentials HTTP/1.1\r\nHost: 127.0.0.1:4711\r\nUser-Agent: aws-cli/2 md/x#y\r\nAuthorization: tok\r\nAccept-Encoding: identity\r\n\r\n"

func TestAGenuineRequestIsUnderstood(t *testing.T) {
	want := head{method: "GET", target: "/v1/credentials", host: "127.0.0.1:4711", token: "tok"}
	for what, text := range map[string]string{
		"as it is":               genuine,
		"names in other letters": strings.NewReplacer("Host", "hOST", "Authorization", "AUTHORIZATION").Replace(genuine),
		"no space before values": strings.ReplaceAll(genuine, ": ", ":"),
		"spaces around values":   strings.NewReplacer(": ", ": \t ", "tok\r", "tok \t\r").Replace(genuine),
		"an empty body":          strings.Replace(genuine, "\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n", 1),
		"an empty header":        strings.Replace(genuine, "\r\n\r\n", "\r\nAccept:\r\n\r\n", 1),
		"an upgrade":             strings.Replace(genuine, "\r\n\r\n", "\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", 1),
		"a name in Latin 1":      strings.Replace(genuine, "aws-cli", "jos\xe9", 1),
	} {
		if got, err := parseHead([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %+v %v", what, got, err)
		}
	}
	got, err := parseHead([]byte(strings.Replace(genuine, "\r\n\r\n", "\r\nOrigin: null\r\n\r\n", 1)))
	if err != nil || !got.web {
		t.Errorf("a web page's: %+v %v", got, err)
	}
}

// What one reader of HTTP takes for one request and another for another.
func TestWhatIsAmbiguousIsRefused(t *testing.T) {
	with := func(lines string) string { return strings.Replace(genuine, "\r\n\r\n", "\r\n"+lines+"\r\n\r\n", 1) }
	first := func(line string) string { return strings.Replace(genuine, "GET /v1/credentials HTTP/1.1", line, 1) }
	for text, want := range map[string]error{
		"":                                                          errLine,
		"\r\n\r\n":                                                  errLine,
		"GET /v1/credentials\r\n\r\n":                               errVersion, // HTTP 0.9
		first("GET /v1/credentials HTTP/1.0"):                       errVersion,
		first("GET /v1/credentials HTTP/2.0"):                       errVersion,
		first("GET /v1/credentials http/1.1"):                       errVersion,
		first("GET /v1/credentials HTTP/1.1 "):                      errVersion,
		first("GET  /v1/credentials HTTP/1.1"):                      errLine,
		first("GET\t/v1/credentials HTTP/1.1"):                      errLine,
		first(" GET /v1/credentials HTTP/1.1"):                      errLine,
		first("GET /v1/credentials\x00 HTTP/1.1"):                   errLine,
		first("GET /v1/cr\xc3\xa9dentials HTTP/1.1"):                errLine,
		first("GET http://127.0.0.1:4711/v1/credentials HTTP/1.1"):  errLine,
		first("GET * HTTP/1.1"):                                     errLine,
		first("CONNECT 127.0.0.1:4711 HTTP/1.1"):                    errLine,
		first("G(T /v1/credentials HTTP/1.1"):                       errLine,
		"\r\n" + genuine:                                            errLine,
		strings.ReplaceAll(genuine, "\r\n", "\n") + "\r\n\r\n":      errVersion,
		strings.Replace(genuine, "4711\r\n", "4711\n", 1):           errHeader, // a bare LF in the middle
		strings.Replace(genuine, "4711\r\n", "4711\r", 1):           errHeader,
		with("X: a\r\n b"):                                          errHeader, // folded
		with(" X: a"):                                               errHeader,
		with("X : a"):                                               errHeader,
		with("X"):                                                   errHeader,
		with(": a"):                                                 errHeader,
		with("X\x00: a"):                                            errHeader,
		with("X: a\x00"):                                            errHeader,
		with("X: a\x7f"):                                            errHeader,
		with("X: a\x1b[2J"):                                         errHeader,
		with("Host: 127.0.0.1:4711"):                                errTwice,
		with("hOST: attacker.example"):                              errTwice,
		with("Authorization: tok"):                                  errTwice,
		with("Content-Length: 0\r\nContent-Length: 0"):              errTwice,
		with("Content-Length: 1"):                                   errBody,
		with("Content-Length: +0"):                                  errBody,
		with("Content-Length: 00"):                                  errBody,
		with("Content-Length: 0, 0"):                                errBody,
		with("Content-Length: -1"):                                  errBody,
		with("Content-Length:"):                                     errBody,
		with("Transfer-Encoding: chunked"):                          errBody,
		with("Transfer-Encoding: identity"):                         errBody,
		with("Expect: 100-continue"):                                errBody,
		strings.Replace(genuine, "Host: 127.0.0.1:4711\r\n", "", 1): errNoHost,
		with(strings.Repeat("X: a\r\n", maxHeaders) + "Y: b"):       errMany,
	} {
		if got, err := parseHead([]byte(text)); !errors.Is(err, want) || got != (head{}) && err == nil {
			t.Errorf("%.300q: %+v %v, want %v", text, got, err, want)
		}
	}
}

// Whatever is understood here means the same to Go's HTTP server.
func FuzzHead(f *testing.F) {
	f.Add([]byte(genuine))
	f.Add([]byte("GET / HTTP/1.1\r\nhost:a\r\n\r\n"))
	f.Add([]byte("HEAD /?a=%zz HTTP/1.1\r\nHost: [::1]:1\r\nContent-Length: 0\r\nOrigin:\r\n\r\n"))
	f.Add([]byte("GET /a HTTP/1.1\r\nHost: a\r\nAuthorization: x\r\nAuthorization: y\r\n\r\n"))
	f.Add([]byte("GET /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
	f.Add([]byte("GET /a HTTP/1.1\r\nHost: a\nX: b\r\n c\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ours, err := parseHead(b)
		if err != nil {
			return
		}
		theirs, err := http.ReadRequest(bufio.NewReaderSize(bytes.NewReader(b), len(b)+16))
		if err != nil {
			// It looks into what only has to be compared here: percent signs of
			// a target, and what a Host may look like.
			if ours.target == endpointPath && ours.host == "127.0.0.1:4711" {
				t.Fatalf("of %q: %v", b, err)
			}
			return
		}
		body, err := io.ReadAll(theirs.Body)
		if err != nil || len(body) > 0 || len(theirs.TransferEncoding) > 0 {
			t.Fatalf("of %q: a body %q %v", b, body, err)
		}
		_, origin := theirs.Header["Origin"]
		_, site := theirs.Header["Sec-Fetch-Site"]
		same := head{theirs.Method, theirs.RequestURI, theirs.Host, theirs.Header.Get("Authorization"), origin || site}
		// Go gives a Host of a target such as "//host/path" that of the target.
		if strings.HasPrefix(ours.target, "//") {
			same.host = ours.host
		}
		if same != ours || len(theirs.Header["Authorization"]) > 1 {
			t.Fatalf("of %q: %+v, and for Go %+v", b, ours, same)
		}
	})
}

// The whole way of a request's bytes, in two pieces: it never panics, and gives
// out nothing but to who has the token.
func FuzzRequest(f *testing.F) {
	e := &Endpoint{host: "127.0.0.1:4711", address: "127.0.0.1", token: "t0k", provide: always, ctx: f.Context()}
	e.digest = digest("t0k")
	ours := strings.Replace(genuine, "tok", "t0k", 1)
	f.Add([]byte(ours), 10)
	f.Add([]byte(strings.Replace(ours, "t0k", "t0p", 1)+"x"), 10)
	f.Add([]byte(strings.Replace(ours, ":4711", "", 1)), 10)
	f.Add([]byte(strings.Repeat("x", maxHead+1)), 1<<10)
	f.Add([]byte("GET /v1/credentials HTTP/1.1\r\nHost: 127.0.0.1:4711\r\n\r\nAuthorization: t0k\r\n\r\n"), 60)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		cut = (cut%(len(b)+1) + len(b) + 1) % (len(b) + 1)
		read, rest, err := readHead(io.MultiReader(bytes.NewReader(b[:cut]), bytes.NewReader(b[cut:])))
		end := bytes.Index(b, []byte(endOfHead)) + len(endOfHead)
		if whole := end >= len(endOfHead) && end <= maxHead; whole != (err == nil) || whole && (!bytes.Equal(read, b[:end]) || rest && end == len(b)) {
			t.Fatalf("of %q was read %q, %t, %v", b, read, rest, err)
		}
		if err != nil {
			return
		}
		a := string(e.answer(read, func() {}).bytes(lent().Expiration))
		if !strings.HasPrefix(a, "HTTP/1.1 ") || strings.Contains(a, "t0k") && !strings.Contains(a, "the-session-token") {
			t.Fatalf("of %q: %q", b, a)
		}
		if strings.Contains(a, "the-s") && !strings.Contains(string(read), "t0k") {
			t.Fatalf("without the token: %q gets %q", b, a)
		}
	})
}

func TestTheAnswersAreHTTP(t *testing.T) {
	e, _, token := endpoint(t, always)
	for text, want := range map[string]int{
		genuine: statusMisdirected,
		strings.NewReplacer("127.0.0.1:4711", e.host, "tok", token).Replace(genuine):                                                                                     statusOK,
		strings.NewReplacer("127.0.0.1:4711", e.host).Replace(genuine):                                                                                                   statusUnauthorized,
		strings.NewReplacer("127.0.0.1:4711", e.host, "GET", "POST", "Accept-Encoding: identity", "Content-Length: 70000").Replace(genuine) + strings.Repeat("x", 70000): statusBadRequest,
		strings.NewReplacer("127.0.0.1:4711", e.host, "GET", "POST").Replace(genuine):                                                                                    statusNotAllowed,
		strings.NewReplacer("127.0.0.1:4711", e.host, "/v1/", "/v2/").Replace(genuine):                                                                                   statusNotFound,
		strings.NewReplacer("127.0.0.1:4711", e.host, "identity", "identity\r\nOrigin: null").Replace(genuine):                                                           statusForbidden,
		strings.Replace(genuine, "1.1", "1.0", 1):                                                                                                                        statusVersion,
		strings.Replace(genuine, "identity", strings.Repeat("x", maxHead), 1) + strings.Repeat("y", 100<<10):                                                             statusHeadTooLarge,
		"\r\n\r\n": statusBadRequest,
	} {
		got := raw(t, e.host, text)
		res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(got)), nil)
		if err != nil || res.StatusCode != want {
			t.Errorf("%.200q: %q %v, want %d", text, got, err, want)
			continue
		}
		body, err := io.ReadAll(res.Body)
		if err != nil || res.ContentLength != int64(len(body)) || !res.Close || fmt.Sprint(res.Header["Content-Type"]) != "[application/json]" || !bytes.HasPrefix(body, []byte("{")) {
			t.Errorf("%.200q: %v %v %q %v", text, res.Header, res.Close, body, err)
		}
		if (res.Header.Get("Allow") == "GET") != (want == statusNotAllowed) {
			t.Errorf("%.200q: Allow %q", text, res.Header["Allow"])
		}
	}
	if got := raw(t, e.host, strings.NewReplacer("127.0.0.1:4711", e.host, "GET", "HEAD").Replace(genuine)); !strings.HasSuffix(got, endOfHead) {
		t.Errorf("HEAD gets a body: %q", got)
	}
}
