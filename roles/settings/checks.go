package settings

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
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

func checkPath(v string) string {
	switch {
	case !filepath.IsAbs(v):
		return "must be an absolute path: the stages run in a temporary directory of the runner"
	case filepath.Clean(v) == "/":
		return "must not be the root directory"
	case slices.Contains(strings.Split(v, "/"), ".."):
		return `must not hold ".."`
	}
	return ""
}

// regionForm is the form of AWS region names ("eu-central-1", "us-gov-west-1",
// "eusc-de-east-1"), not a list of them: new ones come every year.
var regionForm = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]{2,16}){1,3}-[0-9]{1,2}$`)

func checkRegion(v string) string {
	if !regionForm.MatchString(v) {
		return `not an AWS region; write one like "eu-central-1"`
	}
	return ""
}

// The forms of a role's ARN with its placeholders, from the IAM reference: a
// partition, a 12-digit account, a path of printable characters and a name of
// at most 64.
var revokerForm = regexp.MustCompile(
	`^arn:(aws[a-z-]*|\{partition\}):iam::([0-9]{12}|\{account\}):role/([!-z|~]{1,510}/)?[A-Za-z0-9_+=,.@-]{1,64}$`)

func checkRevoker(v string) string {
	if !revokerForm.MatchString(v) {
		return `not the ARN of a role; write one like "` + DefaultRevoker + `" (only {partition} and {account} are filled in)`
	}
	return ""
}

// externalIDForm is the AssumeRole reference's.
var externalIDForm = regexp.MustCompile(`^[A-Za-z0-9_+=,.@:/-]{2,1224}$`)

func checkExternalID(v string) string {
	if !externalIDForm.MatchString(v) {
		return "an external id has 2 to 1224 characters of A-Z a-z 0-9 _ + = , . @ : / -"
	}
	return ""
}

// userForm is what useradd accepts, with upper case and dots as directories
// use them.
var userForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`)

func checkUser(v string) string {
	switch {
	case v == "root":
		return "jobs of root can read everything the runner can; name a user of their own"
	case !userForm.MatchString(v):
		return "not a user name; write the name (not the number) of an existing user"
	}
	return ""
}
