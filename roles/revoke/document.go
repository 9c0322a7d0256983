// Package revoke makes AWS refuse a session before it expires: it writes inline
// deny policies on the session's role, one policy for each writer and hour of
// expiry, and settles the leases of the ledger by what AWS answered.
//
// What it guarantees: a policy names sessions by their exact, unguessable names
// and never matches another session or a whole role; a lease counts as denied
// only after IAM took the policy that holds it; a deny once recorded stays
// until the session's last possible expiry plus a margin; what could not be
// denied stays visible as unrevoked, with the reason.
//
// The package does not link the AWS SDK; the real client is in iamclient.
package revoke

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"envrole/roles/lease"
)

// MaxPolicyChars is what the inline policies of one role may hold together, in
// characters without white space (IAM quotas, "role inline policies").
const MaxPolicyChars = 10240

// The document around its entries. It has no white space, so that its length is
// what IAM counts. aws:userid of an assumed role is "<role id>:<session name>",
// present on every request; the policy sits on one role, so the wildcard stands
// for that role's id alone.
const (
	documentHead = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:userid":[`
	documentTail = `]}}}]}`
	entryHead    = `"*:`
	entryTail    = `"`
)

// Entry is one session to deny.
type Entry struct{ SessionName string }

// ErrEntry means that something that is no session name was about to be denied.
var ErrEntry = errors.New("not a session name of EnvRole")

// Document is the policy that denies everything to exactly these sessions,
// sorted and without duplicates. It refuses an empty list (IAM's reading of an
// empty condition is nobody's to rely on), any name that is not exactly
// gl-<digits>-<13 of a-z2-7>, and a document larger than a role can hold.
func Document(entries []Entry) (string, error) {
	if len(entries) == 0 {
		return "", errors.New("deny policy: no session to deny")
	}
	names := make([]string, 0, len(entries))
	for i, e := range entries {
		if !ValidSessionName(e.SessionName) {
			return "", fmt.Errorf("deny policy: entry %d: %w", i, ErrEntry)
		}
		names = append(names, entryHead+e.SessionName+entryTail)
	}
	slices.Sort(names)
	doc := documentHead + strings.Join(slices.Compact(names), ",") + documentTail
	if len(doc) > MaxPolicyChars {
		return "", fmt.Errorf("deny policy: %d characters, a role holds %d", len(doc), MaxPolicyChars)
	}
	return doc, nil
}

// documentSize is an upper bound of the document's length for these sessions.
func documentSize(sessions []lease.Lease) int {
	if len(sessions) == 0 {
		return 0
	}
	n := len(documentHead) + len(documentTail)
	for _, le := range sessions {
		n += entrySize(le)
	}
	return n
}

func entrySize(le lease.Lease) int {
	return len(entryHead) + len(le.SessionName) + len(entryTail) + 1
}
