package fakeaws

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

type emptyResponse struct {
	XMLName  xml.Name
	NS       string   `xml:"xmlns,attr"`
	Metadata metadata `xml:"ResponseMetadata"`
}

func (c *call) empty() any {
	return emptyResponse{XMLName: xml.Name{Local: c.action + "Response"}, NS: namespaceOf("iam"), Metadata: metadata{c.id}}
}

type getRolePolicyResponse struct {
	XMLName xml.Name `xml:"GetRolePolicyResponse"`
	NS      string   `xml:"xmlns,attr"`
	Result  struct {
		RoleName       string
		PolicyName     string
		PolicyDocument string // percent-encoded, as IAM does
	} `xml:"GetRolePolicyResult"`
	Metadata metadata `xml:"ResponseMetadata"`
}

func (s *Server) getRolePolicy(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, name, stored, err := s.policyOf(c)
	if err != nil {
		return reply{err: err}
	}
	out := getRolePolicyResponse{NS: namespaceOf("iam"), Metadata: metadata{c.id}}
	out.Result.RoleName, out.Result.PolicyName = r.name, name
	out.Result.PolicyDocument = url.PathEscape(stored.text)
	return reply{status: http.StatusOK, body: out}
}

type listRolePoliciesResponse struct {
	XMLName xml.Name `xml:"ListRolePoliciesResponse"`
	NS      string   `xml:"xmlns,attr"`
	Result  struct {
		PolicyNames []string `xml:"PolicyNames>member"`
		IsTruncated bool
		Marker      string `xml:",omitempty"`
	} `xml:"ListRolePoliciesResult"`
	Metadata metadata `xml:"ResponseMetadata"`
}

func (s *Server) listRolePolicies(c *call) reply {
	page := 100
	if text := c.params.Get("MaxItems"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			return reply{err: validation("1 validation error detected: Value '" + text +
				"' at 'maxItems' failed to satisfy constraint: Member must have value between 1 and 1000")}
		}
		page = n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.roleOf(c)
	if err != nil {
		return reply{err: err}
	}
	names := r.policyNames()
	// The marker is the last name of the page before, so that a policy added
	// meanwhile shifts nothing.
	if marker := c.params.Get("Marker"); marker != "" {
		names = slices.DeleteFunc(names, func(n string) bool { return n <= marker })
	}
	out := listRolePoliciesResponse{NS: namespaceOf("iam"), Metadata: metadata{c.id}}
	if len(names) > page {
		names = names[:page]
		out.Result.IsTruncated, out.Result.Marker = true, names[page-1]
	}
	out.Result.PolicyNames = names
	return reply{status: http.StatusOK, body: out}
}

// policyNames lists the stored inline policies, sorted.
func (r *role) policyNames() []string {
	var names []string
	for name, p := range r.inline {
		if p.stored().doc != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

type getRoleResponse struct {
	XMLName xml.Name `xml:"GetRoleResponse"`
	NS      string   `xml:"xmlns,attr"`
	Role    struct {
		Path                     string
		RoleName                 string
		RoleID                   string `xml:"RoleId"`
		Arn                      string
		CreateDate               string
		AssumeRolePolicyDocument string
		MaxSessionDuration       int
	} `xml:"GetRoleResult>Role"`
	Metadata metadata `xml:"ResponseMetadata"`
}

func (s *Server) getRole(c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.roleOf(c)
	if err != nil {
		return reply{err: err}
	}
	out := getRoleResponse{NS: namespaceOf("iam"), Metadata: metadata{c.id}}
	out.Role.Path, out.Role.RoleName, out.Role.RoleID, out.Role.Arn = r.path, r.name, r.RoleID, r.ARN
	out.Role.CreateDate = r.created.UTC().Format(time.RFC3339)
	out.Role.AssumeRolePolicyDocument = url.PathEscape(r.trustDocument())
	out.Role.MaxSessionDuration = int(r.MaxSessionDuration / time.Second)
	return reply{status: http.StatusOK, body: out}
}

// trustDocument writes the configured trust as the policy it stands for.
func (r *role) trustDocument() string {
	actions := []string{"sts:AssumeRole"}
	if r.AllowTagSession {
		actions = append(actions, "sts:TagSession")
	}
	if r.AllowSetSourceIdentity {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	statement := map[string]any{
		"Effect": "Allow", "Action": actions, "Principal": map[string]any{"AWS": r.TrustedPrincipals},
	}
	if r.RequireExternalID != "" {
		statement["Condition"] = map[string]any{"StringEquals": map[string]string{"sts:ExternalId": r.RequireExternalID}}
	}
	// Strings, lists and maps of them always marshal.
	text, _ := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{statement}})
	return string(text)
}
