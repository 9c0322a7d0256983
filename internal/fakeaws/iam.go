package fakeaws

import (
	"net/http"
	"regexp"
	"strconv"
	"unicode"
)

// maxInline is the room all inline policies of one role share; white space is
// not counted.
const maxInline = 10240

var entityName = regexp.MustCompile(`\A[\w+=,.@-]+\z`)

// roleOf finds the role a request names in the caller's own account and asks
// whether the caller may do the action on it. The lock is held. As at AWS, the
// permission comes first: who may not ask does not learn what exists.
func (s *Server) roleOf(c *call) (*role, *apiError) {
	k := &checker{}
	name := c.params.Get("RoleName")
	if k.required(c.params, "RoleName", "roleName") {
		k.text(name, "roleName", 1, 64, entityName)
	}
	if err := k.err(); err != nil {
		return nil, err
	}
	var found *role
	for _, r := range s.roles {
		if r.account == c.caller.account && r.name == name {
			found = r
		}
	}
	resource := "arn:" + c.caller.partition + ":iam::" + c.caller.account + ":role/" + name
	if found != nil {
		resource = found.ARN
	}
	if err := authorize(c.caller, "iam:"+c.action, resource, "role "+name, c.now); err != nil {
		return nil, err
	}
	if found == nil {
		return nil, noSuchEntity("The role with name " + name + " cannot be found.")
	}
	return found, nil
}

func noSuchEntity(message string) *apiError {
	return fail(http.StatusNotFound, "NoSuchEntity", message)
}

func policyName(c *call) (string, *apiError) {
	k := &checker{}
	name := c.params.Get("PolicyName")
	if k.required(c.params, "PolicyName", "policyName") {
		k.text(name, "policyName", 1, 128, entityName)
	}
	return name, k.err()
}

func (s *Server) putRolePolicy(c *call) reply {
	name, err := policyName(c)
	if err != nil {
		return reply{err: err}
	}
	text := c.params.Get("PolicyDocument")
	k := &checker{}
	if k.required(c.params, "PolicyDocument", "policyDocument") {
		k.text(text, "policyDocument", 1, 131072, policyPattern)
	}
	if err := k.err(); err != nil {
		return reply{err: err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.roleOf(c)
	if err != nil {
		return reply{err: err}
	}
	doc, err := parseDocument(text)
	if err != nil {
		return reply{err: err}
	}
	size := countable(text)
	for other, p := range r.inline {
		if v := p.stored(); other != name && v.doc != nil {
			size += countable(v.text)
		}
	}
	if size > maxInline {
		return reply{err: fail(http.StatusConflict, "LimitExceeded",
			"Maximum policy size of "+strconv.Itoa(maxInline)+" bytes exceeded for role "+r.name)}
	}
	s.change(r, name, policyVersion{text: text, doc: doc, from: c.now})
	return reply{status: http.StatusOK, body: c.empty()}
}

// change adds a version that works once the propagation delay has passed.
func (s *Server) change(r *role, name string, v policyVersion) {
	v.from = v.from.Add(s.opts.PropagationDelay)
	p := r.inline[name]
	if p == nil {
		p = &inlinePolicy{}
		r.inline[name] = p
	}
	p.versions = append(p.versions, v)
}

func countable(text string) int {
	n := 0
	for _, r := range text {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

func (s *Server) deleteRolePolicy(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, name, _, err := s.policyOf(c)
	if err != nil {
		return reply{err: err}
	}
	s.change(r, name, policyVersion{from: c.now})
	return reply{status: http.StatusOK, body: c.empty()}
}

// policyOf finds the stored policy a request names. The lock is held.
func (s *Server) policyOf(c *call) (*role, string, policyVersion, *apiError) {
	name, err := policyName(c)
	if err != nil {
		return nil, "", policyVersion{}, err
	}
	r, err := s.roleOf(c)
	if err != nil {
		return nil, "", policyVersion{}, err
	}
	if p := r.inline[name]; p != nil && p.stored().doc != nil {
		return r, name, p.stored(), nil
	}
	return nil, "", policyVersion{}, noSuchEntity("The role policy with name " + name + " cannot be found.")
}
