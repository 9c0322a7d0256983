package vend

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// The endpoint's limits. A genuine request is one line and a few headers, sent
// at once; ten at a time are many.
const (
	endpointPath = "/v1/credentials"
	maxHeader    = 4 << 10 // bytes; net/http allows 4 KiB more
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
// two seconds, and the oldest is closed for a new one when there are too many.
type Endpoint struct {
	host    string
	token   string
	digest  [sha256.Size]byte
	provide Provider
	server  *http.Server
}

// Serve opens the endpoint. It lives until Close.
func Serve(provide Provider) (*Endpoint, error) {
	var raw [32]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return nil, fmt.Errorf("make endpoint token: %w", err)
	}
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open credentials endpoint: %w", err)
	}
	e := &Endpoint{host: ln.Addr().String(), token: base64.RawURLEncoding.EncodeToString(raw[:]), provide: provide}
	e.digest = sha256.Sum256([]byte(e.token))
	e.server = &http.Server{
		Handler: e, MaxHeaderBytes: maxHeader,
		ReadTimeout: readLimit, ReadHeaderTimeout: readLimit, WriteTimeout: writeLimit,
		// What a client sent wrong is not for the job's log.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	e.server.SetKeepAlivesEnabled(false)
	go func() { _ = e.server.Serve(&crowd{Listener: ln, max: maxConns}) }()
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
func (e *Endpoint) Close() error { return e.server.Close() }

// ServeHTTP answers one request.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if code, why := e.refuses(r); code != 0 {
		answerError(w, code, "AccessDenied", why)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	c, err := e.provide(ctx)
	switch {
	case errors.Is(err, ErrRefused):
		answerError(w, http.StatusForbidden, "CredentialsRefused", err.Error())
	case err != nil:
		answerError(w, http.StatusServiceUnavailable, "CredentialsUnavailable", err.Error())
	default:
		answer(w, http.StatusOK, map[string]string{
			"AccessKeyId": c.AccessKeyID, "SecretAccessKey": c.SecretAccessKey, "Token": c.SessionToken,
			"Expiration": stamp(c.Expiration), "AccountId": c.AccountID,
		})
	}
}

// refuses gives the status and the reason for which a request gets nothing, or
// 0. The Host is compared first: a page whose name was bound anew to 127.0.0.1
// sends its own. Only browsers send Origin and Sec-Fetch-Site.
func (e *Endpoint) refuses(r *http.Request) (status int, why string) {
	tokens := r.Header["Authorization"]
	switch {
	case r.Host != e.host:
		return http.StatusMisdirectedRequest, "not the host of this endpoint"
	case len(r.Header["Origin"]) > 0 || len(r.Header["Sec-Fetch-Site"]) > 0:
		return http.StatusForbidden, "not for web pages"
	case r.RequestURI != endpointPath:
		return http.StatusNotFound, "no such path"
	case r.Method != http.MethodGet:
		return http.StatusMethodNotAllowed, "only GET"
	case r.ContentLength != 0:
		return http.StatusBadRequest, "a request with a body"
	case len(tokens) != 1 || !e.opens(tokens[0]):
		return http.StatusUnauthorized, "the token is missing or wrong"
	}
	return 0, ""
}

// opens compares in a time that does not depend on the token nor its length.
func (e *Endpoint) opens(token string) bool {
	got := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(got[:], e.digest[:]) == 1
}

func answerError(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]string{"Code": code, "Message": message})
}

func answer(w http.ResponseWriter, status int, body map[string]string) {
	b, err := json.Marshal(body)
	if err != nil {
		status, b = http.StatusInternalServerError, nil
	}
	h := w.Header()
	h.Set("Content-Type", "application/json") // exactly so: some SDKs compare
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the client may be gone
}
