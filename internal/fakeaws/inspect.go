package fakeaws

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Credentials gives the access key of a configured user, or an error if there
// is no such user.
func (s *Server) Credentials(userARN string) (aws.Credentials, error) {
	for _, u := range s.users {
		if u.arn == userARN {
			return aws.Credentials{AccessKeyID: u.accessKeyID, SecretAccessKey: u.secret, Source: "fakeaws"}, nil
		}
	}
	return aws.Credentials{}, fmt.Errorf("fake aws: no user %q", userARN)
}

// Env gives the environment in which an SDK or the aws CLI talks to this
// server, and to nothing else, as the user: no files, no metadata service.
func (s *Server) Env(userARN string) ([]string, error) {
	c, err := s.Credentials(userARN)
	if err != nil {
		return nil, err
	}
	return append(s.EndpointEnv(), Environ(c)...), nil
}

// EndpointEnv is Env without credentials.
func (s *Server) EndpointEnv() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.url, "AWS_REGION=eu-central-1", "AWS_DEFAULT_REGION=eu-central-1",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1", // botocore would ask a proxy for loopback too
	}
}

// Environ writes credentials as the SDKs' environment variables.
func Environ(c aws.Credentials) []string {
	out := []string{"AWS_ACCESS_KEY_ID=" + c.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + c.SecretAccessKey}
	if c.SessionToken != "" {
		out = append(out, "AWS_SESSION_TOKEN="+c.SessionToken)
	}
	return out
}

// IssueSession makes a session of a role without asking its trust policy: what
// an instance profile or a login has before the test begins.
func (s *Server) IssueSession(roleARN, name string, duration time.Duration) (aws.Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.roles[roleARN]
	if r == nil {
		return aws.Credentials{}, fmt.Errorf("fake aws: no role %q", roleARN)
	}
	a := &assumption{roleARN: roleARN, sessionName: name, duration: duration}
	p := a.session(&principal{}, r, s.opts.Now().Add(s.offset), s.opts.TokenSize)
	s.keys[p.accessKeyID] = p
	s.issued = append(s.issued, p)
	return aws.Credentials{
		AccessKeyID: p.accessKeyID, SecretAccessKey: p.secret, SessionToken: p.token,
		CanExpire: true, Expires: p.expires, AccountID: p.account, Source: "fakeaws",
	}, nil
}

// RoleID gives a role's unique id (AROA...), or "".
func (s *Server) RoleID(roleARN string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.roles[roleARN]; r != nil {
		return r.RoleID
	}
	return ""
}

// Policies gives the stored inline policies: role ARN -> name -> document.
func (s *Server) Policies() map[string]map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]map[string]string{}
	for arn, r := range s.roles {
		out[arn] = map[string]string{}
		for _, name := range r.policyNames() {
			out[arn][name] = r.inline[name].stored().text
		}
	}
	return out
}

// Settle puts every stored policy into effect now, whatever the propagation
// delay.
func (s *Server) Settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.roles {
		for _, p := range r.inline {
			p.versions = []policyVersion{{text: p.stored().text, doc: p.stored().doc}}
		}
	}
}
