package fakeaws

import (
	"net/http"
	"strings"
	"time"
)

// Fault is something that goes wrong, for the next calls it applies to. Faults
// are taken in the order they were pushed, at most one a call.
type Fault struct {
	// Action is the API action ("AssumeRole"); "" or "*" means any.
	Action string
	// Match, when not empty, must occur in the call's role name or ARN, session
	// name or policy name.
	Match string
	// Times is how many calls it applies to; 0 means one, below 0 all.
	Times int

	// Status, Code and Message are the error to answer with instead of doing
	// the work; Status 0 does the work.
	Status     int
	Code       string
	Message    string
	RetryAfter string // the header's value, with Status

	// Delay passes before the work is done, whether or not the client waits.
	Delay time.Duration
	// Hold does the same until it is closed.
	Hold <-chan struct{} `json:"-"`
	// Hang never answers; the work is not done.
	Hang bool
	// DropAfter does the work and then drops the connection without an answer;
	// with Hang it does the work and then never answers.
	DropAfter bool
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

func (s *Server) takeFault(c *call) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.Times == 0 || !f.appliesTo(c) {
			continue
		}
		if f.Times > 0 {
			f.Times--
		}
		taken := *f
		return &taken
	}
	return nil
}

func (f *Fault) appliesTo(c *call) bool {
	if f.Action != "" && f.Action != "*" && f.Action != c.action {
		return false
	}
	if f.Match == "" {
		return true
	}
	for _, key := range []string{"RoleArn", "RoleName", "RoleSessionName", "PolicyName"} {
		if strings.Contains(c.params.Get(key), f.Match) {
			return true
		}
	}
	return false
}

// before does what a fault does ahead of the work; false means that there will
// be neither work nor answer.
func (s *Server) before(f *Fault, r *http.Request) bool {
	if f.Delay > 0 {
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.closed:
			return false
		}
	}
	if f.Hold != nil {
		select {
		case <-f.Hold:
		case <-s.closed:
			return false
		}
	}
	if f.Hang && !f.DropAfter {
		s.hang(r)
		return false
	}
	return true
}

// hang waits until the client has gone or the server is closed.
func (s *Server) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.closed:
	}
}
