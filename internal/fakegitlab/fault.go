package fakegitlab

import (
	"net/http"
	"strings"
	"time"
)

// Endpoint names one of the two endpoints.
type Endpoint string

// The endpoints; the empty one means both.
const (
	AllowedAgents Endpoint = "allowed_agents"
	Environments  Endpoint = "environments"
)

// Fault is something that goes wrong, for the next requests to an endpoint.
// Faults are taken in the order they were pushed, at most one a request.
type Fault struct {
	Endpoint Endpoint
	// Times is how many requests it applies to; 0 means one, below 0 all.
	Times int

	// Status, Body and ContentType replace those of the answer where given.
	Status      int
	Body        string
	ContentType string
	RetryAfter  string // the header's value

	// Delay passes before the answer.
	Delay time.Duration
	// Hang never answers.
	Hang bool
	// HangInBody sends the headers and half of the body, and then nothing.
	HangInBody bool
	// Drop closes the connection without an answer.
	Drop bool

	// Redirect answers 302 to the second listener, or to RedirectTo.
	Redirect   bool
	RedirectTo string

	// Oversize appends that many spaces to the body: it stays valid JSON.
	Oversize int64
	// Truncate cuts the body in half.
	Truncate bool
	// Mutate rewrites the body: wrong ids, unknown shapes.
	Mutate func(body []byte) []byte
	// Extra are records that the name filter lets through though it should not.
	Extra []Environment
	// IgnoreName makes the name filter answer all records of the project.
	IgnoreName bool
}

// Push adds faults.
func (s *Server) Push(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		if f.Times == 0 {
			f.Times = 1
		}
		s.faults = append(s.faults, &f)
	}
}

// ClearFaults removes every fault that is left.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// takeFault gives the fault for a request, or the zero one.
func (s *Server) takeFault(at Endpoint) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.Times == 0 || f.Endpoint != "" && f.Endpoint != at {
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		return *f
	}
	return Fault{}
}

// before does what a fault does ahead of the answer.
func (s *Server) before(f *Fault, r *http.Request) {
	if f.Delay > 0 {
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
		case <-s.closed:
		}
	}
	if f.Hang {
		s.hang(r)
	}
	if f.Hang || f.Drop {
		panic(http.ErrAbortHandler) // net/http's way to drop a connection
	}
}

func (s *Server) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.closed:
	}
}

// shape applies what a fault does to the answer.
func (f *Fault) shape(a *answer) {
	if f.Status != 0 {
		a.status = f.Status
	}
	if f.Body != "" || f.Status != 0 {
		a.body = []byte(f.Body)
	}
	if f.ContentType != "" {
		a.contentType = f.ContentType
	}
	if f.Mutate != nil {
		a.body = f.Mutate(a.body)
	}
	if f.Truncate {
		a.body = a.body[:len(a.body)/2]
	}
	if f.Oversize > 0 {
		a.body = append(a.body, strings.Repeat(" ", int(f.Oversize))...)
	}
}
