package fakeaws

import (
	"fmt"
	"strings"
	"time"
)

// arnParts splits arn:partition:service:region:account:resource.
type arnParts struct {
	partition, service, account, resource string
}

func parseARN(s string) (arnParts, bool) {
	f := strings.SplitN(s, ":", 6)
	if len(f) != 6 || f[0] != "arn" || f[1] == "" || f[2] == "" || f[5] == "" {
		return arnParts{}, false
	}
	return arnParts{partition: f[1], service: f[2], account: f[4], resource: f[5]}, true
}

// role is a configured role with its inline policies.
type role struct {
	Role
	name, path, account, partition string
	created                        time.Time
	granted                        *document
	inline                         map[string]*inlinePolicy
}

func newRole(r Role, now time.Time) (*role, error) {
	a, ok := parseARN(r.ARN)
	if !ok || a.service != "iam" || len(a.account) != 12 || !strings.HasPrefix(a.resource, "role/") {
		return nil, fmt.Errorf("%q is no role ARN", r.ARN)
	}
	path := strings.TrimPrefix(a.resource, "role")
	cut := strings.LastIndexByte(path, '/')
	out := &role{
		Role: r, name: path[cut+1:], path: path[:cut+1], account: a.account, partition: a.partition,
		created: now, inline: map[string]*inlinePolicy{},
	}
	if out.RoleID == "" {
		out.RoleID = "AROA" + upperBase32(17)
	}
	if out.MaxSessionDuration == 0 {
		out.MaxSessionDuration = time.Hour
	}
	if r.Allow == nil {
		out.Allow = []Permission{{Actions: []string{"s3:ListAllMyBuckets"}}}
	}
	out.granted = grants(out.Allow)
	return out, nil
}

// principal is whoever owns an access key: a user, or one session of a role.
type principal struct {
	arn, userID, account, partition string

	accessKeyID, secret, token string

	granted *document // a user's own permissions
	name    string    // a user's name

	role           *role // nil for a user
	sessionName    string
	sourceIdentity string
	tags           map[string]string // session tags, inherited ones included
	transitive     map[string]bool   // keys of transitive tags, in lower case
	issued         time.Time
	expires        time.Time // zero for a user
	sessionPolicy  *document
	sessionARNs    []string
}

func newUser(u User) (*principal, error) {
	a, ok := parseARN(u.ARN)
	if !ok || a.service != "iam" || len(a.account) != 12 || !strings.HasPrefix(a.resource, "user/") {
		return nil, fmt.Errorf("%q is no user ARN", u.ARN)
	}
	p := &principal{
		arn: u.ARN, userID: "AIDA" + upperBase32(17), account: a.account, partition: a.partition,
		accessKeyID: u.AccessKeyID, secret: u.SecretAccessKey, granted: grants(u.Allow),
		name: a.resource[strings.LastIndexByte(a.resource, '/')+1:],
	}
	if p.accessKeyID == "" {
		p.accessKeyID = "AKIA" + upperBase32(16)
	}
	if p.secret == "" {
		p.secret = secretKey()
	}
	return p, nil
}

// context gives the condition keys that AWS sets for every request.
// sts:RoleSessionName is not among them.
func (p *principal) context() requestContext {
	ctx := requestContext{
		"aws:userid": p.userID, "aws:principalaccount": p.account, "aws:principalarn": p.arn,
	}
	if p.role == nil {
		ctx["aws:username"] = p.name
		ctx["aws:principaltype"] = "User"
		return ctx
	}
	ctx["aws:principaltype"] = "AssumedRole"
	ctx["aws:principalarn"] = p.role.ARN
	ctx["aws:tokenissuetime"] = p.issued.UTC().Format(time.RFC3339)
	if p.sourceIdentity != "" {
		ctx["aws:sourceidentity"] = p.sourceIdentity
	}
	for k, v := range p.tags {
		ctx["aws:principaltag/"+strings.ToLower(k)] = v
	}
	return ctx
}
