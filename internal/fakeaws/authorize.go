package fakeaws

import (
	"slices"
	"time"
)

// policies gives the identity policies that are in effect for p now.
func (p *principal) policies(now time.Time) []*document {
	if p.role == nil {
		return []*document{p.granted}
	}
	docs := []*document{p.role.granted}
	for _, inline := range p.role.inline {
		if d := inline.effective(now); d != nil {
			docs = append(docs, d)
		}
	}
	return docs
}

// unauthorized is the beginning of every AccessDenied.
func unauthorized(p *principal, action, resource string) string {
	return "User: " + p.arn + " is not authorized to perform: " + action + " on resource: " + resource
}

// authorize says whether p may do action on resource; shown is the resource as
// the error names it. The server's lock is held.
func authorize(p *principal, action, resource, shown string, now time.Time) *apiError {
	text := unauthorized(p, action, shown)
	switch evaluate(p.policies(now), action, resource, p.context()) {
	case explicitDeny:
		return denied(text + " with an explicit deny in an identity-based policy")
	case implicitDeny:
		return denied(text + " because no identity-based policy allows the " + action + " action")
	case allow:
	}
	return p.sessionLimits(action, resource, text)
}

// sessionLimits applies the policy that was handed to AssumeRole. The content
// of session policy ARNs is not known here: with any of them only the inline
// document's denies count.
func (p *principal) sessionLimits(action, resource, text string) *apiError {
	if p.sessionPolicy == nil {
		return nil
	}
	switch evaluate([]*document{p.sessionPolicy}, action, resource, p.context()) {
	case explicitDeny:
		return denied(text + " with an explicit deny in a session policy")
	case implicitDeny:
		if len(p.sessionARNs) == 0 {
			return denied(text + " because no session policy allows the " + action + " action")
		}
	case allow:
	}
	return nil
}

// trusts says whether r's trust policy lets p do action, one of sts:AssumeRole,
// sts:TagSession and sts:SetSourceIdentity. In one account a principal that the
// trust policy names needs no policy of its own; across accounts, and where
// only the account is named, it does.
func (r *role) trusts(p *principal, action string, granted bool, now time.Time) *apiError {
	refused := denied(unauthorized(p, action, r.ARN))
	own := evaluate(p.policies(now), action, r.ARN, p.context())
	if own == explicitDeny {
		return denied(refused.message + " with an explicit deny in an identity-based policy")
	}
	named, account := false, false
	for _, t := range r.TrustedPrincipals {
		switch {
		case t == "*" || t == p.arn || p.role != nil && t == p.role.ARN:
			named = true
		case t == p.account || t == "arn:"+p.partition+":iam::"+p.account+":root":
			account = true
		}
	}
	if !granted || !named && !account {
		return refused
	}
	if (!named || p.account != r.account) && own != allow {
		return refused
	}
	return p.sessionLimits(action, r.ARN, refused.message)
}

// TrustsRoot is the ARN that stands for a whole account in a trust policy.
func TrustsRoot(account string) string { return "arn:aws:iam::" + account + ":root" }

// inlinePolicy is one named policy of a role with the versions that may still
// be, or not yet be, in effect.
type inlinePolicy struct {
	versions []policyVersion
}

type policyVersion struct {
	from time.Time
	text string
	doc  *document // nil: deleted
}

// stored is what IAM reads back; effective is what requests are judged by.
func (p *inlinePolicy) stored() policyVersion { return p.versions[len(p.versions)-1] }

func (p *inlinePolicy) effective(now time.Time) *document {
	for _, v := range slices.Backward(p.versions) {
		if !v.from.After(now) {
			return v.doc
		}
	}
	return nil
}
