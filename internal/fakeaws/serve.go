package fakeaws

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxBody is far above any request of these APIs: a policy has at most 131,072
// characters.
const maxBody = 1 << 20

const (
	stsVersion = "2011-06-15"
	iamVersion = "2010-05-08"
)

// call is one request on its way through the server.
type call struct {
	request *http.Request
	body    []byte
	params  url.Values
	service string // sts, iam or s3
	action  string
	region  string
	now     time.Time
	id      string
	caller  *principal
}

// reply is the answer to a call.
type reply struct {
	status int
	body   any // encoded as XML
	err    *apiError
}

// ServeHTTP answers the AWS APIs and, below /_control/, the test's own.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, controlPrefix) {
		s.serveControl(w, r)
		return
	}
	c, err := s.readCall(w, r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	who, authErr := s.authenticate(c)
	entry := s.arrived(c, who)
	f := s.takeFault(c)
	if f != nil && !s.before(f, r) {
		s.finished(entry, 0, "")
		panic(http.ErrAbortHandler) // net/http's way to drop a connection
	}
	c.now = s.now() // a delay has passed
	var a reply
	switch {
	case f != nil && f.Status != 0:
		a = reply{err: fail(f.Status, f.Code, f.Message)}
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
	case authErr != nil:
		a = reply{err: authErr}
	default:
		c.caller = who
		a = s.dispatch(c)
	}
	code := ""
	if a.err != nil {
		a.status, code = a.err.status, a.err.code
	}
	if f != nil && f.DropAfter {
		s.finished(entry, a.status, code)
		if f.Hang {
			s.hang(r)
		}
		panic(http.ErrAbortHandler)
	}
	s.finished(entry, a.status, code)
	c.write(w, a)
}

// readCall reads the request and finds out which action it is.
func (s *Server) readCall(w http.ResponseWriter, r *http.Request) (*call, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, err
	}
	c := &call{request: r, body: body, now: s.now(), id: requestID(), service: "s3"}
	raw := r.URL.RawQuery
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		raw = string(body)
	}
	if c.params, err = url.ParseQuery(raw); err != nil {
		return nil, err
	}
	c.action = c.params.Get("Action")
	switch {
	case c.action == "" && r.Method == http.MethodGet && r.URL.Path == "/":
		c.action = "ListBuckets"
	case c.params.Get("Version") == iamVersion:
		c.service = "iam"
	case c.action != "":
		c.service = "sts"
	}
	return c, nil
}

func (s *Server) dispatch(c *call) reply {
	switch c.service + ":" + c.action {
	case "sts:AssumeRole":
		return s.assumeRole(c)
	case "sts:GetCallerIdentity":
		return getCallerIdentity(c)
	case "iam:PutRolePolicy":
		return s.putRolePolicy(c)
	case "iam:GetRolePolicy":
		return s.getRolePolicy(c)
	case "iam:DeleteRolePolicy":
		return s.deleteRolePolicy(c)
	case "iam:ListRolePolicies":
		return s.listRolePolicies(c)
	case "iam:GetRole":
		return s.getRole(c)
	case "s3:ListBuckets":
		return s.listBuckets(c)
	}
	if c.service == "s3" {
		return reply{err: fail(http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented")}
	}
	return reply{err: fail(http.StatusBadRequest, "InvalidAction",
		"Could not find operation "+c.action+" for version "+c.params.Get("Version"))}
}
