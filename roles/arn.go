package roles

import (
	"errors"
	"fmt"
	"strings"
)

// RoleARN is the ARN of an IAM role, taken apart.
type RoleARN struct {
	Partition string // "aws", "aws-cn", "aws-us-gov", ...
	Account   string // 12 digits
	Path      string // "/" or "/a/b/"
	Name      string
}

// String puts the ARN together again.
func (a RoleARN) String() string {
	return "arn:" + a.Partition + ":iam::" + a.Account + ":role" + a.Path + a.Name
}

// Limits of IAM's API reference, in characters.
const (
	maxRoleName   = 64
	maxPolicyName = 128
	maxPath       = 512
	maxARN        = 2048
)

// ParseRoleARN takes an IAM role's ARN apart. The error says what is wrong with
// it. Wildcards are never part of a role's ARN here, though IAM would allow
// them in a path: such an ARN could read as a pattern in a policy.
func ParseRoleARN(s string) (RoleARN, error) {
	var a RoleARN
	partition, account, resource, err := splitIAM(s)
	if err != nil {
		return a, err
	}
	if !accountID(account) {
		return a, fmt.Errorf("%s: the account must have 12 digits", quote(s))
	}
	rest, ok := strings.CutPrefix(resource, "role/")
	if !ok {
		return a, fmt.Errorf("%s is not the ARN of a role (arn:aws:iam::ACCOUNT:role/NAME)", quote(s))
	}
	path, name, err := splitPath(rest, maxRoleName)
	if err != nil {
		return a, fmt.Errorf("%s: %w", quote(s), err)
	}
	return RoleARN{Partition: partition, Account: account, Path: path, Name: name}, nil
}

// ValidateRoleARN says what is wrong with an IAM role's ARN, nil if nothing.
func ValidateRoleARN(s string) error {
	_, err := ParseRoleARN(s)
	return err
}

// validatePolicyARN is for managed policies, the customer's and AWS's own.
func validatePolicyARN(s string) error {
	_, account, resource, err := splitIAM(s)
	if err != nil {
		return err
	}
	if account != "aws" && !accountID(account) {
		return fmt.Errorf("%s: the account must be \"aws\" or 12 digits", quote(s))
	}
	rest, ok := strings.CutPrefix(resource, "policy/")
	if !ok {
		return fmt.Errorf("%s is not the ARN of a managed policy (arn:aws:iam::aws:policy/NAME)", quote(s))
	}
	if _, _, err := splitPath(rest, maxPolicyName); err != nil {
		return fmt.Errorf("%s: %w", quote(s), err)
	}
	return nil
}

func splitIAM(s string) (partition, account, resource string, err error) {
	if len(s) > maxARN {
		return "", "", "", fmt.Errorf("the ARN has %d characters; %d is the most", len(s), maxARN)
	}
	p := strings.SplitN(s, ":", 6)
	if len(p) != 6 || p[0] != "arn" || p[2] != "iam" || p[3] != "" {
		return "", "", "", fmt.Errorf("%s is not an IAM ARN (arn:aws:iam::ACCOUNT:...)", quote(s))
	}
	if !partitionName(p[1]) {
		return "", "", "", fmt.Errorf("%s: %s is no AWS partition", quote(s), quote(p[1]))
	}
	return p[1], p[4], p[5], nil
}

func partitionName(s string) bool {
	switch s {
	case "aws", "aws-cn", "aws-us-gov", "aws-eusc", "aws-iso":
		return true
	}
	letter, ok := strings.CutPrefix(s, "aws-iso-")
	return ok && len(letter) == 1 && 'a' <= letter[0] && letter[0] <= 'z'
}

func accountID(s string) bool {
	if len(s) != 12 {
		return false
	}
	return only(s, func(c byte) bool { return '0' <= c && c <= '9' })
}

func splitPath(rest string, maxName int) (path, name string, err error) {
	cut := strings.LastIndexByte(rest, '/') + 1
	path, name = "/"+rest[:cut], rest[cut:]
	switch {
	case name == "":
		return "", "", errors.New("the name is missing")
	case len(name) > maxName:
		return "", "", fmt.Errorf("the name has %d characters; %d is the most", len(name), maxName)
	case !only(name, nameChar):
		return "", "", errors.New("the name may hold letters, digits and _+=,.@- only")
	case len(path) > maxPath:
		return "", "", fmt.Errorf("the path has %d characters; %d is the most", len(path), maxPath)
	case !only(path, func(c byte) bool { return nameChar(c) || c == '/' || c == ':' }):
		return "", "", errors.New("the path may hold letters, digits and _+=,.@:/- only")
	}
	return path, name, nil
}

// nameChar is IAM's [\w+=,.@-], of role names, session names and identities.
func nameChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("_+=,.@-", c) >= 0
}

func only(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}
