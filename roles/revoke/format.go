package revoke

import "strings"

// maxSessionName is STS's limit for a role session name in characters.
const maxSessionName = 64

// randomLength is the length of a session name's random part.
const randomLength = 13

// ValidSessionName says whether s is exactly gl-<digits>-<13 of a-z2-7>. Such a
// name holds no wildcard and is nobody else's: it is all that may reach a policy.
func ValidSessionName(s string) bool {
	rest, ok := strings.CutPrefix(s, "gl-")
	if !ok || len(s) > maxSessionName {
		return false
	}
	digits, random, ok := strings.Cut(rest, "-")
	return ok && digits != "" && only(digits, isDigit) && len(random) == randomLength && only(random, isBase32)
}

// ParseRoleARN takes the ARN of an IAM role apart:
// arn:<partition>:iam::<12 digits>:role/<path/><name>. IAM is addressed by
// account and name alone.
func ParseRoleARN(arn string) (partition, account, name string, ok bool) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "iam" || parts[3] != "" {
		return "", "", "", false
	}
	partition, account = parts[1], parts[4]
	path, found := strings.CutPrefix(parts[5], "role/")
	if !found || len(arn) > 2048 {
		return "", "", "", false
	}
	segments := strings.Split(path, "/")
	for _, s := range segments {
		if s == "" || !only(s, isPathChar) {
			return "", "", "", false
		}
	}
	name = segments[len(segments)-1]
	ok = (partition == "aws" || strings.HasPrefix(partition, "aws-")) && only(partition, isPartitionChar) &&
		len(account) == 12 && only(account, isDigit) &&
		len(name) <= 64 && only(name, isNameChar)
	return partition, account, name, ok
}

// ValidRoleARN says whether s is the ARN of an IAM role.
func ValidRoleARN(s string) bool {
	_, _, _, ok := ParseRoleARN(s)
	return ok
}

func only(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLower(c byte) bool  { return c >= 'a' && c <= 'z' }
func isBase32(c byte) bool { return isLower(c) || c >= '2' && c <= '7' }
func isNameChar(c byte) bool {
	return isDigit(c) || isLower(c) || c >= 'A' && c <= 'Z' || strings.IndexByte("_+=,.@-", c) >= 0
}

func isPartitionChar(c byte) bool { return isLower(c) || isDigit(c) || c == '-' }

// isPathChar: a path may hold any printable ASCII; a wildcard in it is no path
// that a role was lent under.
func isPathChar(c byte) bool { return c > ' ' && c < 0x7f && c != '*' && c != '?' }
