package fakeaws

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Call is one request as the journal keeps it; it holds no secret.
type Call struct {
	Action      string
	Caller      string // ARN, "" if the access key is unknown
	AccessKeyID string
	Role        string // RoleArn or RoleName of the request
	SessionName string // RoleSessionName of the request
	PolicyName  string
	Region      string // from the credential scope
	At          time.Time
	// Status is 0 while the call is under way, and for one that never got an
	// answer because it hung. Code is the error code of a refused one.
	Status int
	Code   string
}

// SessionInfo is one issued session.
type SessionInfo struct {
	Name           string
	Role           string // ARN
	AssumedRoleID  string // AROA...:name, the later aws:userid
	AccessKeyID    string
	SourceIdentity string
	Tags           map[string]string
	TransitiveTags []string // in lower case
	IssuedAt       time.Time
	Expiration     time.Time
	Expired        bool
	// Denied says whether an explicit Deny that is in effect now refuses the
	// session's ordinary calls.
	Denied bool
}

// Live says whether AWS would still serve the session.
func (i SessionInfo) Live() bool { return !i.Expired && !i.Denied }

func (s *Server) arrived(c *call, who *principal) *Call {
	role := c.params.Get("RoleArn")
	if role == "" {
		role = c.params.Get("RoleName")
	}
	e := &Call{
		Action: c.action, Role: role, SessionName: c.params.Get("RoleSessionName"),
		PolicyName: c.params.Get("PolicyName"), Region: c.region, At: c.now,
	}
	if who != nil {
		e.Caller, e.AccessKeyID = who.arn, who.accessKeyID
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, e)
	s.announce()
	return e
}

func (s *Server) finished(e *Call, status int, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Status, e.Code = status, code
	s.announce()
}

func (s *Server) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Calls gives the journal in order of arrival.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.callsLocked()
}

func (s *Server) callsLocked() []Call {
	out := make([]Call, len(s.calls))
	for i, c := range s.calls {
		out[i] = *c
	}
	return out
}

// Count is how many calls of the action have arrived.
func (s *Server) Count(action string) int {
	n := 0
	for _, c := range s.Calls() {
		if c.Action == action {
			n++
		}
	}
	return n
}

// WaitFor waits until some call meets the condition and gives it back, so that
// a test need not sleep.
func (s *Server) WaitFor(ctx context.Context, met func(Call) bool) (Call, error) {
	for {
		s.mu.Lock()
		calls, changed := s.callsLocked(), s.changed
		s.mu.Unlock()
		if i := slices.IndexFunc(calls, met); i >= 0 {
			return calls[i], nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Call{}, fmt.Errorf("fake aws: wait for a call: %w", ctx.Err())
		}
	}
}

// Sessions gives every session issued so far, in order.
func (s *Server) Sessions() []SessionInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Now().Add(s.offset)
	out := make([]SessionInfo, 0, len(s.issued))
	for _, p := range s.issued {
		out = append(out, SessionInfo{
			Name: p.sessionName, Role: p.role.ARN, AssumedRoleID: p.userID, AccessKeyID: p.accessKeyID,
			SourceIdentity: p.sourceIdentity, Tags: p.tags, TransitiveTags: sortedKeys(p.transitive),
			IssuedAt: p.issued, Expiration: p.expires, Expired: !now.Before(p.expires),
			Denied: evaluate(p.policies(now), ordinaryAction, ordinaryResource, p.context()) == explicitDeny,
		})
	}
	return out
}

func sortedKeys(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
