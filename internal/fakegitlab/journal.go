package fakegitlab

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Request is one request as the journal keeps it. It holds no token: where one
// stood in the address there is [token].
type Request struct {
	Method string
	Path   string // as sent, still escaped
	Query  string // raw
	// TokenRight says whether the JOB-TOKEN header held the token of a job.
	TokenRight bool
	// TokenInURL says whether a job's token stood in the address.
	TokenInURL bool
	At         time.Time
}

// Visit is a request to the second listener.
type Visit struct {
	Path string // as in Request
	// TokenArrived says whether a job's token came along, in any header or in
	// the address.
	TokenArrived bool
}

func (s *Server) record(r *http.Request, right bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path, inPath := s.redact(r.URL.EscapedPath())
	query, inQuery := s.redact(r.URL.RawQuery)
	s.requests = append(s.requests, Request{
		Method: r.Method, Path: path, Query: query, TokenRight: right,
		TokenInURL: inPath || inQuery, At: time.Now(),
	})
	close(s.changed)
	s.changed = make(chan struct{})
}

// redact takes every known token out of text. The lock is held.
func (s *Server) redact(text string) (string, bool) {
	found := false
	for _, j := range s.jobs {
		if j.Token != "" && strings.Contains(text, j.Token) {
			text, found = strings.ReplaceAll(text, j.Token, "[token]"), true
		}
	}
	return text, found
}

func (s *Server) serveElsewhere(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	path, arrived := s.redact(r.URL.RequestURI())
	for _, values := range r.Header {
		for _, v := range values {
			_, in := s.redact(v)
			arrived = arrived || in
		}
	}
	s.visits = append(s.visits, Visit{Path: path, TokenArrived: arrived})
	s.mu.Unlock()
	// What an attacker would answer: a promotion to production.
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"allowed_agents":[],"environment":{"slug":"production","tier":"production"}}`))
}

// Requests gives the journal in order of arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Visits gives the requests to the second listener.
func (s *Server) Visits() []Visit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.visits)
}

// WaitFor waits until n requests have arrived, so that a test need not sleep.
func (s *Server) WaitFor(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		have, changed := len(s.requests), s.changed
		s.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("fake gitlab: wait for %d requests, have %d: %w", n, have, ctx.Err())
		}
	}
}
