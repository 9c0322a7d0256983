package revoke

import "envrole/roles/lease"

// Outcome is what became of one lease.
type Outcome string

// The outcomes.
const (
	Denied    Outcome = "denied"    // IAM took the deny (now, or before)
	Local     Outcome = "local"     // the credentials are destroyed; the rule asks for no more
	RoleGone  Outcome = "role gone" // the role does not exist any more, nor does the session
	Unrevoked Outcome = "unrevoked" // not denied; Err says why
	Expired   Outcome = "expired"   // over and forgotten, having been denied
	Lapsed    Outcome = "lapsed"    // over and forgotten, never denied
	Unknown   Outcome = "unknown"   // there is no such lease (any more)
)

// Item is what became of one lease, which is given as it was last seen.
type Item struct {
	Lease   lease.Lease
	Outcome Outcome
	Why     string // for a swept lease: why its job counts as gone
	Err     error
	// Elsewhere means that another process, or an earlier run, came to this
	// outcome and has reported it: an audit log must not count it twice.
	Elsewhere bool
}

// Policy names a policy of a role.
type Policy struct{ Role, Name string }

// Report is what Revoke or Sweep did.
type Report struct {
	Items   []Item
	Puts    int // calls of PutRolePolicy, failed ones included
	Deletes int
	Lists   int
	// Deleted are the policies of past windows that were removed.
	Deleted []Policy
	Damaged []lease.Damaged
	Cleaned lease.Cleaned
	// Errors are failures that belong to no single lease.
	Errors []error
}

// Count is how many leases had this outcome.
func (r *Report) Count(o Outcome) int {
	n := 0
	for _, it := range r.Items {
		if it.Outcome == o {
			n++
		}
	}
	return n
}

// Of is what became of the lease; ok is false if nothing did.
func (r *Report) Of(id string) (it Item, ok bool) {
	for _, it := range r.Items {
		if it.Lease.ID == id {
			return it, true
		}
	}
	return Item{}, false
}

func (r *Report) add(le lease.Lease, o Outcome, err error) {
	r.Items = append(r.Items, Item{Lease: le, Outcome: o, Err: err})
}

// found adds what somebody else came to.
func (r *Report) found(le lease.Lease, o Outcome, err error) {
	r.Items = append(r.Items, Item{Lease: le, Outcome: o, Err: err, Elsewhere: true})
}

// closed adds a lease that needed no deny when it was closed.
func (r *Report) closed(le lease.Lease, here bool) {
	if here {
		r.add(le, settledAs(le), nil)
	} else {
		r.found(le, settledAs(le), nil)
	}
}
