package fakegitlab

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options says what the stand-in knows.
type Options struct {
	// Prefix is the path GitLab is served below, such as "/gitlab".
	Prefix string
	// TLS serves https under a CA of the server's own; see CAPEM.
	TLS  bool
	Jobs []Job
	// Environments are the records of each project, by its id.
	Environments map[int64][]Environment
}

// Server is one running stand-in. It is safe for concurrent use.
type Server struct {
	prefix    string
	url       string
	elsewhere string
	caPEM     []byte
	servers   []*http.Server
	closed    chan struct{}
	closeOnce sync.Once

	mu           sync.Mutex
	jobs         []*Job
	environments map[int64][]Environment
	nextID       int64
	faults       []*Fault
	requests     []Request
	visits       []Visit
	changed      chan struct{} // closed and remade with each request
	pages        http.Handler  // what is not the API; nil is GitLab's own 404
}

// Start makes a server on a free port of 127.0.0.1, and a second one, on
// another port, to which a Fault can redirect.
func Start(opts Options) (*Server, error) {
	s := &Server{
		prefix: strings.TrimSuffix(opts.Prefix, "/"), closed: make(chan struct{}),
		environments: map[int64][]Environment{}, nextID: 1, changed: make(chan struct{}),
	}
	if s.prefix != "" && !strings.HasPrefix(s.prefix, "/") {
		return nil, fmt.Errorf("fake gitlab: prefix %q does not begin with a slash", opts.Prefix)
	}
	for _, j := range opts.Jobs {
		s.AddJob(j)
	}
	for id, list := range opts.Environments {
		for _, e := range list {
			s.AddEnvironment(id, e)
		}
	}
	var conf *tls.Config
	if opts.TLS {
		ca, c, err := newAuthority(time.Now())
		if err != nil {
			return nil, fmt.Errorf("fake gitlab: certificate: %w", err)
		}
		s.caPEM, conf = ca, c
	}
	base, err := s.listen(http.HandlerFunc(s.serve), conf)
	if err != nil {
		return nil, err
	}
	other, err := s.listen(http.HandlerFunc(s.serveElsewhere), conf)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.url, s.elsewhere = base+s.prefix, other
	return s, nil
}

func (s *Server) listen(h http.Handler, conf *tls.Config) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("fake gitlab: listen: %w", err)
	}
	url := "http://" + l.Addr().String()
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ErrorLog: discard()}
	if conf != nil {
		url = "https://" + l.Addr().String()
		l = tls.NewListener(l, conf)
	}
	s.servers = append(s.servers, srv)
	go func() { _ = srv.Serve(l) }() // ends with Close, whose error it would repeat
	return url, nil
}

// URL is the address for [gitlab] url, the prefix included.
func (s *Server) URL() string { return s.url }

// ElsewhereURL is the second listener, which no job token must ever reach.
func (s *Server) ElsewhereURL() string { return s.elsewhere }

// CAPEM is the certificate of the server's CA, for ca_file; nil without TLS.
func (s *Server) CAPEM() []byte { return s.caPEM }

// Close drops every connection, hanging ones too, and frees the ports.
func (s *Server) Close() error {
	s.closeOnce.Do(func() { close(s.closed) })
	var errs []error
	for _, srv := range s.servers {
		errs = append(errs, srv.Close())
	}
	return errors.Join(errs...)
}

// SetPages serves everything below URL that is not the API, such as the
// discovery document and the signing keys of ID tokens. Paths reach h without
// the prefix.
func (s *Server) SetPages(h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages = http.StripPrefix(s.prefix, h)
}

// AddJob adds a job, or replaces the one with the same id. Where several jobs
// have one token, it is the token of the job that was added last.
func (s *Server) AddJob(j Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs = slices.DeleteFunc(s.jobs, func(old *Job) bool { return old.ID == j.ID })
	s.jobs = append(s.jobs, &j)
}

// EndJob makes the job's token invalid.
func (s *Server) EndJob(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if j.ID == id {
			j.Ended = true
		}
	}
}

// AddEnvironment adds a record to a project, or replaces the one of that name.
func (s *Server) AddEnvironment(projectID int64, e Environment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.ID == 0 {
		e.ID = s.nextID
		s.nextID++
	}
	if e.State == "" {
		e.State = "available"
	}
	if e.CreatedAt.IsZero() {
		e.CreatedAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	}
	for i, old := range s.environments[projectID] {
		if old.Name == e.Name {
			s.environments[projectID][i] = e
			return
		}
	}
	s.environments[projectID] = append(s.environments[projectID], e)
}
