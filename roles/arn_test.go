package roles

import (
	"strings"
	"testing"
)

func TestParseRoleARN(t *testing.T) {
	for _, c := range []struct {
		arn  string
		want RoleARN
	}{
		{"arn:aws:iam::111122223333:role/deploy", RoleARN{"aws", "111122223333", "/", "deploy"}},
		{"arn:aws-cn:iam::111122223333:role/a/b/deploy", RoleARN{"aws-cn", "111122223333", "/a/b/", "deploy"}},
		{"arn:aws-us-gov:iam::000000000000:role/x", RoleARN{"aws-us-gov", "000000000000", "/", "x"}},
		{"arn:aws-iso:iam::111122223333:role/x", RoleARN{"aws-iso", "111122223333", "/", "x"}},
		{"arn:aws-iso-b:iam::111122223333:role/x", RoleARN{"aws-iso-b", "111122223333", "/", "x"}},
		{"arn:aws-eusc:iam::111122223333:role/_+=,.@-", RoleARN{"aws-eusc", "111122223333", "/", "_+=,.@-"}},
	} {
		got, err := ParseRoleARN(c.arn)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", c.arn, got, err)
		}
		if got.String() != c.arn {
			t.Errorf("%s became %s", c.arn, got)
		}
	}
}

func TestBadRoleARNs(t *testing.T) {
	role := "arn:aws:iam::111122223333:role/"
	for name, arn := range map[string]string{
		"empty":            "",
		"bare name":        "deploy",
		"other service":    "arn:aws:sts::111122223333:role/x",
		"assumed role":     "arn:aws:sts::111122223333:assumed-role/x/y",
		"a user":           "arn:aws:iam::111122223333:user/x",
		"a policy":         "arn:aws:iam::111122223333:policy/x",
		"root":             "arn:aws:iam::111122223333:root",
		"region":           "arn:aws:iam:eu-west-1:111122223333:role/x",
		"short account":    "arn:aws:iam::11112222333:role/x",
		"long account":     "arn:aws:iam::1111222233334:role/x",
		"letters":          "arn:aws:iam::11112222333a:role/x",
		"no account":       "arn:aws:iam:::role/x",
		"aws as account":   "arn:aws:iam::aws:role/x",
		"partition":        "arn:awz:iam::111122223333:role/x",
		"partition suffix": "arn:aws-evil:iam::111122223333:role/x",
		"iso suffix":       "arn:aws-iso-bb:iam::111122223333:role/x",
		"no name":          role,
		"path only":        role + "a/",
		"wildcard":         role + "*",
		"wildcard in path": role + "a*/x",
		"question mark":    role + "x?",
		"space":            role + "a b",
		"newline":          role + "x\n",
		"quote":            role + `x"`,
		"brace":            role + "{x}",
		"not ASCII":        role + "é",
		"colon in name":    role + "a:b",
		"name too long":    role + strings.Repeat("a", 65),
		"path too long":    role + strings.Repeat("a/", 256) + "x",
		"far too long":     role + strings.Repeat("a/", 1100) + "x",
	} {
		if err := ValidateRoleARN(arn); err == nil {
			t.Errorf("%s: %q was accepted", name, arn)
		}
	}
	for _, arn := range []string{role + strings.Repeat("a", 64), role + strings.Repeat("a/", 255) + "x"} {
		if err := ValidateRoleARN(arn); err != nil {
			t.Errorf("at the limit: %v", err)
		}
	}
}

func TestValidatePolicyARN(t *testing.T) {
	for arn, ok := range map[string]bool{
		"arn:aws:iam::aws:policy/ReadOnlyAccess":              true,
		"arn:aws:iam::aws:policy/job-function/ViewOnlyAccess": true,
		"arn:aws:iam::111122223333:policy/team/x":             true,
		"arn:aws:iam::aws:role/ReadOnlyAccess":                false,
		"arn:aws:iam::awz:policy/ReadOnlyAccess":              false,
		"arn:aws:iam::aws:policy/*":                           false,
		"arn:aws:iam::aws:policy/":                            false,
		"arn:aws:s3::aws:policy/x":                            false,
		"arn:aws:iam::aws:policy/" + strings.Repeat("a", 129): false,
	} {
		if err := validatePolicyARN(arn); (err == nil) != ok {
			t.Errorf("%s: %v", arn, err)
		}
	}
}
