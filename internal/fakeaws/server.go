package fakeaws

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Server is one running stand-in. It is safe for concurrent use.
type Server struct {
	opts         Options
	controlToken string
	url          string
	http         *http.Server
	closed       chan struct{}
	closeOnce    sync.Once

	mu      sync.Mutex
	offset  time.Duration
	roles   map[string]*role      // by ARN
	keys    map[string]*principal // by access key id
	users   []*principal
	issued  []*principal // sessions, in order of issue
	calls   []*Call
	faults  []*Fault
	changed chan struct{} // closed and remade whenever calls changes
}

// New makes a server that listens nowhere: it is an http.Handler.
func New(opts Options) (*Server, error) {
	s := &Server{
		opts: opts, controlToken: pick(base32Upper, 32), closed: make(chan struct{}),
		roles: map[string]*role{}, keys: map[string]*principal{}, changed: make(chan struct{}),
	}
	if s.opts.Now == nil {
		s.opts.Now = time.Now
	}
	if s.opts.PackedLimit == 0 {
		s.opts.PackedLimit = 1024
	}
	if opts.TokenSize > maxToken {
		return nil, fmt.Errorf("fake aws: no session token has %d characters, the limit is %d", opts.TokenSize, maxToken)
	}
	users := opts.Users
	if len(users) == 0 {
		users = []User{{ARN: DefaultUser, Allow: []Permission{{Actions: []string{"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"}}}}}
	}
	for _, u := range users {
		p, err := newUser(u)
		if err != nil {
			return nil, fmt.Errorf("fake aws: %w", err)
		}
		s.keys[p.accessKeyID] = p
		s.users = append(s.users, p)
	}
	for _, r := range opts.Roles {
		if err := s.AddRole(r); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Start makes a server that listens on a free port of 127.0.0.1 until Close.
func Start(opts Options) (*Server, error) {
	s, err := New(opts)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("fake aws: listen: %w", err)
	}
	s.url = "http://" + l.Addr().String()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.http.Serve(l) }() // ends with Close, whose error it would repeat
	return s, nil
}

// URL is the endpoint for AWS_ENDPOINT_URL; "" if the server does not listen.
func (s *Server) URL() string { return s.url }

// Close drops every connection, hanging ones too, and frees the port.
func (s *Server) Close() error {
	s.closeOnce.Do(func() { close(s.closed) })
	if s.http == nil {
		return nil
	}
	if err := s.http.Close(); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("fake aws: close: %w", err)
	}
	return nil
}

// AddRole adds a role; one that exists is an error, see UpdateRole.
func (s *Server) AddRole(r Role) error {
	made, err := newRole(r, s.now())
	if err != nil {
		return fmt.Errorf("fake aws: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.roles[r.ARN] != nil {
		return fmt.Errorf("fake aws: role %q exists", r.ARN)
	}
	s.roles[r.ARN] = made
	return nil
}

// UpdateRole changes a role's trust or permissions; its sessions and inline
// policies stay. Its ARN and id cannot change.
func (s *Server) UpdateRole(arn string, change func(*Role)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.roles[arn]
	if r == nil {
		return fmt.Errorf("fake aws: no role %q", arn)
	}
	id := r.RoleID
	change(&r.Role)
	r.ARN, r.RoleID, r.granted = arn, id, grants(r.Allow)
	return nil
}

// SetClockOffset moves the server's clock away from Options.Now by d.
func (s *Server) SetClockOffset(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset = d
}

func (s *Server) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opts.Now().Add(s.offset)
}

func (s *Server) principalOf(accessKeyID string) *principal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[accessKeyID]
}
