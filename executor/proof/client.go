package proof

// This file makes the HTTP client. It promises: GitLab's address comes from the
// configuration alone, TLS is verified and at least 1.2, redirects are not
// followed, and proxies are those of the driver's own environment.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"envrole/roles/fault"
)

// DefaultTimeout is the time that all calls for one job may take together,
// where Options does not say. Prepare has an hour by the runner's default; a
// job's author has less patience.
const DefaultTimeout = 15 * time.Second

// maxHeader bounds an answer's header, in bytes.
const maxHeader = 64 << 10

// Options says how GitLab is reached.
type Options struct {
	URL       string        // [gitlab] url: http or https, host, maybe a path prefix
	CAFile    string        // PEM file of authorities trusted besides the system's; "" none
	Timeout   time.Duration // of all calls of one Prove together; 0 is DefaultTimeout
	UserAgent string        // "" is "envrole"

	// Now and Sleep are the clock of the pauses between tries; nil is the real
	// one. Sleep ends early with ctx.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
}

// Client asks GitLab. It is safe for concurrent use.
type Client struct {
	base      string // .../api/v4
	timeout   time.Duration
	userAgent string
	transport *http.Transport // not an http.Client: nothing here can follow a redirect
	now       func() time.Time
	sleep     func(context.Context, time.Duration) error
	jitter    func() float64 // 0 to 1
}

// New checks the options and makes a client. It does not touch the network; its
// errors are for the administrator.
func New(o Options) (*Client, error) {
	base, err := apiBase(o.URL)
	if err != nil {
		return nil, fault.New(fault.Permanent, "use", "gitlab.url", err,
			`It must look like "https://gitlab.example.com" or "https://example.com/gitlab".`)
	}
	roots, err := authorities(o.CAFile)
	if err != nil {
		return nil, fault.New(fault.Permanent, "use", "gitlab.ca_file", err,
			"It must be a readable file with PEM certificates (BEGIN CERTIFICATE).")
	}
	c := &Client{
		base: base, timeout: o.Timeout, userAgent: o.UserAgent,
		now: o.Now, sleep: o.Sleep, jitter: rand.Float64,
	}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	if c.userAgent == "" {
		c.userAgent = "envrole"
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.sleep == nil {
		c.sleep = sleep
	}
	c.transport = &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // answers are small, and their limit counts real bytes
		MaxResponseHeaderBytes: maxHeader,
	}
	return c, nil
}

func apiBase(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", errors.New("not a URL") // the text may hold a password
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("not an http or https URL")
	case u.Host == "":
		return "", errors.New("no host")
	case u.User != nil:
		return "", errors.New("user or password in the URL")
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return "", errors.New("query or fragment in the URL")
	}
	return strings.TrimRight(u.String(), "/") + "/api/v4", nil
}

// authorities is the system's pool with those of the file added; nil, which
// means the system's, without a file.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil //nolint:nilnil // nil is tls.Config's own word for "the system's"
	}
	pem, err := os.ReadFile(file) // #nosec G304 -- the administrator names the file
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's authorities: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
