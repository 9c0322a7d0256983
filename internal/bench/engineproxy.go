package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// engineProxy stands before the Engine's socket and remembers when the Engine had
// something to do. What the proxy itself takes counts as the Engine's.
type engineProxy struct {
	address string
	server  *http.Server

	mu    sync.Mutex
	calls []span
}

// span is one request, from its first byte to the end of its answer, or of the
// stream that it became.
type span struct{ from, to time.Time }

func startEngineProxy(engine, socket string) (*engineProxy, error) {
	path, ok := strings.CutPrefix(engine, "unix://")
	if !ok {
		return nil, fmt.Errorf("the Engine at %s: only unix:// addresses are measured", engine)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	target := &url.URL{Scheme: "http", Host: "engine"}
	reverse := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}},
		FlushInterval: -1,
	}
	p := &engineProxy{address: "unix://" + socket}
	p.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from := time.Now()
		reverse.ServeHTTP(w, r)
		if strings.HasSuffix(r.URL.Path, "/attach") {
			return // beside what is asked for, as long as the container lives
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.calls = append(p.calls, span{from, time.Now()})
	})}
	go func() {
		if err := p.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			fmt.Println("the Engine's proxy ended:", err)
		}
	}()
	return p, nil
}

// busy is how long between two instants the Engine had something to do.
func (p *engineProxy) busy(from, to time.Time) time.Duration {
	p.mu.Lock()
	calls := slices.Clone(p.calls)
	p.mu.Unlock()
	return covered(calls, from, to)
}

// covered is how much of from..to the spans cover together.
func covered(spans []span, from, to time.Time) time.Duration {
	slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	var sum time.Duration
	for _, s := range spans {
		if s.from.Before(from) {
			s.from = from
		}
		if s.to.After(to) {
			s.to = to
		}
		if s.to.After(s.from) {
			sum += s.to.Sub(s.from)
			from = s.to
		}
	}
	return sum
}

func (p *engineProxy) Close() error { return p.server.Close() }
