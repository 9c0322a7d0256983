package vend

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// The endpoint's limits. A genuine request comes at once; ten at a time are many.
const (
	endpointPath = "/v1/credentials"
	readLimit    = 2 * time.Second
	writeLimit   = 3 * time.Second
	maxConns     = 64
)

// Endpoint is the container-credentials protocol on loopback: one GET of one
// path, with a random token, on a random port.
//
// It promises an answer with credentials to nobody who lacks the token; that a
// web page cannot ask it, whatever name resolves to 127.0.0.1; and that slow or
// many connections keep it from serving its job for a moment at most: each has
// two seconds, and the oldest that has not shown the token is closed for a new
// one when there are too many.
//
// It speaks the one corner of HTTP/1.1 that SDKs use, one request a connection.
// A whole HTTP server would be half of envrole-run, and parse what must not be
// answered anyway.
type Endpoint struct {
	host    string // address and port
	address string
	token   string
	digest  [sha256.Size]byte
	provide Provider
	crowd   *crowd
	ctx     context.Context //nolint:containedctx // of all requests: it ends with Close
	cancel  context.CancelFunc
}

// Loopback is a listener for Serve on this host: 127.0.0.1 and a free port.
func Loopback(ctx context.Context) (net.Listener, error) {
	// A connection lives for seconds: it needs no probes.
	listen := net.ListenConfig{KeepAlive: -1}
	listen.SetMultipathTCP(false) // there is one path on loopback
	return listen.Listen(ctx, "tcp4", "127.0.0.1:0")
}

// Serve opens the endpoint on ln, whose address must be the one that the job's
// tools connect to. Endpoint and listener live until Close; if there is an
// error, ln is closed.
func Serve(ln net.Listener, provide Provider) (*Endpoint, error) {
	var raw [32]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return nil, errors.Join(fmt.Errorf("make endpoint token: %w", err), ln.Close())
	}
	address, _, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the endpoint's address: %w", err), ln.Close())
	}
	e := &Endpoint{
		host: ln.Addr().String(), address: address, token: base64.RawURLEncoding.EncodeToString(raw[:]), provide: provide,
		crowd: &crowd{Listener: ln, max: maxConns},
	}
	e.digest = digest(e.token)
	e.ctx, e.cancel = context.WithCancel(context.Background())
	go e.crowd.serve(e.serve)
	return e, nil
}

// Env is what tools need to find the endpoint, "K=v".
func (e *Endpoint) Env() []string {
	return []string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://" + e.host + endpointPath,
		"AWS_CONTAINER_AUTHORIZATION_TOKEN=" + e.token,
	}
}

// Token opens the endpoint: the job's log must not show it.
func (e *Endpoint) Token() string { return e.token }

// Close ends the endpoint and every connection to it.
func (e *Endpoint) Close() error {
	e.cancel()
	return e.crowd.Close()
}

// serve answers one connection.
func (e *Endpoint) serve(conn *member) {
	defer func() { _ = conn.Close() }()
	// What a client sent wrong is not for the job's log, and who sends nothing
	// gets nothing.
	if conn.SetReadDeadline(time.Now().Add(readLimit)) != nil {
		return
	}
	var a answer
	b, rest, err := readHead(conn)
	switch {
	case errors.Is(err, errTooLong):
		a = refused(statusHeadTooLarge, err.Error())
	case err != nil:
		return
	default:
		a = e.answer(b, conn.trust)
	}
	if conn.SetWriteDeadline(time.Now().Add(writeLimit)) != nil {
		return
	}
	if _, err := conn.Write(a.bytes(time.Now())); err == nil && (rest || a.status != statusOK) {
		linger(conn.Conn)
	}
}

var errTooLong = errors.New("the request line and the headers are too long")

// readHead reads up to the empty line after the headers, and says whether more
// came with it.
func readHead(conn io.Reader) (b []byte, rest bool, err error) {
	buf := make([]byte, 1<<10) // enough for a genuine one
	for n := 0; ; {
		got, err := conn.Read(buf[n:])
		from := max(0, n-len(endOfHead))
		n += got
		if i := bytes.Index(buf[from:n], []byte(endOfHead)); i >= 0 && from+i+len(endOfHead) <= maxHead {
			end := from + i + len(endOfHead)
			return buf[:end], end < n, nil
		}
		switch {
		case err != nil:
			return nil, false, err
		case n == maxHead:
			return nil, true, errTooLong
		case n == len(buf):
			buf = append(buf, make([]byte, maxHead-n)...)
		}
	}
}

// answer answers one request. It calls genuine before it waits for credentials.
func (e *Endpoint) answer(b []byte, genuine func()) answer {
	h, err := parseHead(b)
	if err != nil {
		return refused(statusOf(err), err.Error())
	}
	if status, why := e.refuses(h); status != 0 {
		a := refused(status, why)
		a.bare = h.method == "HEAD"
		return a
	}
	genuine()
	ctx, cancel := context.WithTimeout(e.ctx, patience)
	defer cancel()
	c, err := e.provide(ctx)
	switch {
	case errors.Is(err, ErrRefused):
		return answer{status: statusForbidden, body: refusal{"CredentialsRefused", err.Error()}}
	case err != nil:
		return answer{status: statusUnavailable, body: refusal{"CredentialsUnavailable", err.Error()}}
	}
	return answer{status: statusOK, body: given{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, Token: c.SessionToken,
		Expiration: stamp(c.Expiration), AccountID: c.AccountID,
	}}
}

// refuses gives the status and the reason for which a request gets nothing, or
// 0. The Host is compared first: a page whose name was bound anew to 127.0.0.1
// sends its own. The AWS Common Runtime leaves out the port, browsers do not.
// Only browsers send Origin and Sec-Fetch-Site.
func (e *Endpoint) refuses(h head) (status int, why string) {
	switch {
	case h.host != e.host && h.host != e.address:
		return statusMisdirected, "not the host of this endpoint"
	case h.web:
		return statusForbidden, "not for web pages"
	case h.target != endpointPath:
		return statusNotFound, "no such path"
	case h.method != "GET":
		return statusNotAllowed, "only GET"
	case !e.opens(h.token):
		return statusUnauthorized, "the token is missing or wrong"
	}
	return 0, ""
}

// opens compares in a time that does not depend on the token nor its length.
func (e *Endpoint) opens(token string) bool {
	got := digest(token)
	return subtle.ConstantTimeCompare(got[:], e.digest[:]) == 1
}

func digest(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }
