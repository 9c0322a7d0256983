package revoke

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"envrole/roles/fault"
)

// IAM is what is needed of AWS, for one role's account. A role is given by its
// ARN. Times are AWS's own, from the answer's Date header, and zero where there
// was none; they may come with an error. Errors wrap one of the sentinels below
// where they apply, and carry a fault class.
type IAM interface {
	PutRolePolicy(ctx context.Context, role, policy, document string) (time.Time, error)
	DeleteRolePolicy(ctx context.Context, role, policy string) error
	ListRolePolicies(ctx context.Context, role string) (names []string, at time.Time, err error)
}

// Connect makes the client that may write the role's policies.
type Connect func(ctx context.Context, roleARN string) (IAM, error)

var (
	// ErrAccess means that the revoker may not do this.
	ErrAccess = errors.New("access denied")
	// ErrLimit means that the role's inline policies are full.
	ErrLimit = errors.New("the role's inline policies are full")
	// ErrNotFound means that the role (or the policy to delete) does not exist.
	ErrNotFound = errors.New("no such role or policy")
)

// Why a deny could not be written, as recorded in a lease's last_reason.
const (
	ReasonAccess   = "access denied"
	ReasonOverflow = "policies full"
	ReasonInvalid  = "invalid lease"
	ReasonPassing  = "iam unavailable"
	ReasonOther    = "iam refused"
)

func reasonOf(err error) string {
	switch {
	case errors.Is(err, ErrAccess):
		return ReasonAccess
	case errors.Is(err, ErrLimit):
		return ReasonOverflow
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), fault.ClassOf(err) == fault.Passing:
		return ReasonPassing
	}
	return ReasonOther
}

// explain makes the error that is shown for a role whose sessions could not be
// denied, with the way out.
func explain(role, reason string, err error) error {
	const op = "revoke sessions of role"
	switch reason {
	case ReasonAccess:
		help := fault.HelpOf(err)
		if help == "" {
			help = AccessHelp(role)
		}
		return fault.New(fault.Permanent, op, role, err, help)
	case ReasonOverflow:
		return fault.New(fault.Passing, op, role, err,
			fmt.Sprintf("The inline policies of a role hold %d characters, about 300 sessions. The sessions marked unrevoked stay valid "+
				"until they expire, or until a sweep finds room. Shorter durations, fewer inline policies of your own or more roles make room.", MaxPolicyChars))
	case ReasonInvalid:
		return fault.New(fault.Permanent, op, role, err,
			"The ledger was changed by another hand, or no rule names the role's account any more. Look at it with: envrole leases --unrevoked\n"+
				"If the role is right, this revokes its sessions although no rule names it: envrole revoke --role ARN")
	case ReasonPassing:
		return fault.New(fault.Passing, op, role, err, "The sessions stay recorded as unrevoked; every sweep tries again until they expire.")
	}
	class := fault.ClassOf(err)
	return fault.New(class, op, role, err, fault.HelpOf(err))
}

// AccessHelp says which statement the revoker is missing for the role.
func AccessHelp(role string) string {
	statement, err := json.MarshalIndent(struct {
		Effect   string
		Action   []string
		Resource string
	}{"Allow", []string{"iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:ListRolePolicies"}, role}, "", "  ")
	if err != nil {
		return ""
	}
	return "Add this statement to the permissions of the revoker ([revocation] role_arn) in the role's account:\n" + string(statement)
}
