package fakeaws

import (
	"encoding/xml"
	"net/http"
	"strings"
	"time"
)

type assumeRoleResponse struct {
	XMLName xml.Name `xml:"AssumeRoleResponse"`
	NS      string   `xml:"xmlns,attr"`
	Result  struct {
		SourceIdentity  string `xml:",omitempty"`
		AssumedRoleUser struct {
			AssumedRoleID string `xml:"AssumedRoleId"`
			Arn           string
		}
		Credentials struct {
			AccessKeyID     string `xml:"AccessKeyId"`
			SecretAccessKey string
			SessionToken    string
			Expiration      string
		}
		PackedPolicySize *int `xml:",omitempty"`
		// The two that replace it: characters, and per cent of the longest.
		SessionTokenSize        int
		SessionTokenUtilization int
	} `xml:"AssumeRoleResult"`
	Metadata metadata `xml:"ResponseMetadata"`
}

func (s *Server) assumeRole(c *call) reply {
	a, err := s.parseAssumption(c.params)
	if err != nil {
		return reply{err: err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	// A role that does not exist looks like one that trusts nobody.
	r := s.roles[a.roleARN]
	if r == nil {
		return reply{err: denied(unauthorized(c.caller, "sts:AssumeRole", a.roleARN))}
	}
	if err := a.authorized(c.caller, r, c.now); err != nil {
		return reply{err: err}
	}
	if err := a.durationAllowed(c.caller, r); err != nil {
		return reply{err: err}
	}
	percent, err := a.packed(c.caller, s.opts.PackedLimit)
	if err != nil {
		return reply{err: err}
	}
	if limit := s.opts.SessionLimit; limit > 0 {
		a.duration = min(a.duration, limit)
	}
	session := a.session(c.caller, r, c.now, s.opts.TokenSize)
	s.keys[session.accessKeyID] = session
	s.issued = append(s.issued, session)
	return reply{status: http.StatusOK, body: session.response(c, percent)}
}

// authorized asks the trust policy for every action that the request contains.
func (a *assumption) authorized(p *principal, r *role, now time.Time) *apiError {
	idMatches := r.RequireExternalID == "" || r.RequireExternalID == a.externalID
	if err := r.trusts(p, "sts:AssumeRole", idMatches, now); err != nil {
		return err
	}
	if len(a.tags) > 0 || len(p.transitive) > 0 {
		if err := r.trusts(p, "sts:TagSession", r.AllowTagSession, now); err != nil {
			return err
		}
	}
	if a.sourceIdentity != "" || p.sourceIdentity != "" {
		if err := r.trusts(p, "sts:SetSourceIdentity", r.AllowSetSourceIdentity, now); err != nil {
			return err
		}
	}
	if p.sourceIdentity != "" && a.sourceIdentity != "" && a.sourceIdentity != p.sourceIdentity {
		return denied("The source identity is already set for this assume role session")
	}
	for _, t := range a.tags {
		if p.transitive[strings.ToLower(t.key)] {
			return invalidParameter("One of the specified transitive tag keys can't be set because it conflicts " +
				"with a transitive tag key from the calling session.")
		}
	}
	return nil
}

func (a *assumption) durationAllowed(p *principal, r *role) *apiError {
	if p.role != nil && a.duration > chainedSeconds*time.Second {
		return validation("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	}
	if a.duration > r.MaxSessionDuration {
		return validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return nil
}

func (a *assumption) session(p *principal, r *role, now time.Time, tokenSize int) *principal {
	out := &principal{
		arn:    "arn:" + r.partition + ":sts::" + r.account + ":assumed-role/" + r.name + "/" + a.sessionName,
		userID: r.RoleID + ":" + a.sessionName, account: r.account, partition: r.partition,
		accessKeyID: "ASIA" + upperBase32(16), secret: secretKey(), token: sessionToken(tokenSize),
		role: r, sessionName: a.sessionName, sourceIdentity: p.sourceIdentity,
		tags: map[string]string{}, transitive: map[string]bool{},
		issued: now, expires: now.Add(a.duration).Truncate(time.Second),
		sessionPolicy: a.policyDoc, sessionARNs: a.policyARNs,
	}
	if a.sourceIdentity != "" {
		out.sourceIdentity = a.sourceIdentity
	}
	for key, value := range p.tags {
		if p.transitive[strings.ToLower(key)] {
			out.tags[key] = value
			out.transitive[strings.ToLower(key)] = true
		}
	}
	for _, t := range a.tags {
		out.tags[t.key] = t.value
	}
	for _, key := range a.transitive {
		out.transitive[strings.ToLower(key)] = true
	}
	return out
}

func (p *principal) response(c *call, percent *int) assumeRoleResponse {
	out := assumeRoleResponse{NS: namespaceOf("sts"), Metadata: metadata{c.id}}
	r := &out.Result
	r.SourceIdentity = p.sourceIdentity
	r.AssumedRoleUser.AssumedRoleID, r.AssumedRoleUser.Arn = p.userID, p.arn
	r.Credentials.AccessKeyID = p.accessKeyID
	r.Credentials.SecretAccessKey = p.secret
	r.Credentials.SessionToken = p.token
	r.Credentials.Expiration = p.expires.UTC().Format(time.RFC3339)
	r.PackedPolicySize = percent
	r.SessionTokenSize, r.SessionTokenUtilization = len(p.token), (len(p.token)*100+maxToken-1)/maxToken
	return out
}
