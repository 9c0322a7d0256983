package settings

import (
	"net/netip"
	"net/url"
	"strings"

	"envrole/roles"
)

// The checks of single texts. Each gives what is wrong with its value and what
// to write instead, or "" for a good one.

// checkURL accepts an https URL of a GitLab instance, with a path prefix if
// any. The job's token goes to this URL, so plain http is for the machine
// itself only.
func checkURL(v string) string {
	u, err := url.Parse(v)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "":
		return `not a URL; write the instance's address, as in "https://gitlab.example.com"`
	case u.Scheme != "https" && u.Scheme != "http":
		return "the scheme must be https"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "http is for loopback addresses only: the job token would cross the network in the clear; use https"
	case u.User != nil:
		return "must hold no user name or password: the job's own token is what authenticates"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "must hold no query and no fragment"
	case strings.Contains(u.Path, "/api/v"):
		return "leave the API path away: the instance's address is enough"
	}
	return ""
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// checkRegion looks at the form of a region's name ("eu-central-1",
// "us-gov-west-1", "eusc-de-east-1"), not at a list: new ones come every year.
func checkRegion(v string) string {
	parts := strings.Split(v, "-")
	last := len(parts) - 1
	ok := len(v) <= 32 && last >= 2 && only(parts[last], digit) && len(parts[last]) <= 2
	for _, part := range parts[:last] {
		ok = ok && len(part) >= 2 && only(part, func(c rune) bool { return c >= 'a' && c <= 'z' })
	}
	if !ok {
		return `not an AWS region; write one like "eu-central-1"`
	}
	return ""
}

// only says whether s has characters, and none but those that ok accepts.
func only(s string, ok func(rune) bool) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return !ok(c) })
}

func digit(c rune) bool { return c >= '0' && c <= '9' }

func letter(c rune) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// checkRevoker accepts what is a role's ARN once {partition} and {account} are
// filled in.
func checkRevoker(v string) string {
	sample := strings.NewReplacer("{partition}", "aws", "{account}", "123456789012").Replace(v)
	if err := roles.ValidateRoleARN(sample); err != nil {
		return err.Error() + `; write one like "` + DefaultRevoker + `" (only {partition} and {account} are filled in)`
	}
	return ""
}

func checkPattern(v string) string {
	if err := roles.Pattern(v).Validate(); err != nil {
		return err.Error()
	}
	return ""
}

// checkExternalID: length and characters are those of the AssumeRole reference.
// The value is not repeated: to some it is as good as a password.
func checkExternalID(v string) string {
	ok := func(c rune) bool { return letter(c) || digit(c) || strings.ContainsRune("_+=,.@:/-", c) }
	if len(v) < 2 || len(v) > 1224 || !only(v, ok) {
		return "an external id has 2 to 1224 characters of A-Z a-z 0-9 _ + = , . @ : / -"
	}
	return ""
}
