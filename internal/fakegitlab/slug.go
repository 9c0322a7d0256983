package fakegitlab

import (
	"crypto/sha256"
	"math/big"
	"regexp"
	"strings"
)

const (
	slugMost   = 24 // longest slug
	slugPrefix = 17 // of the name, when a suffix is needed
	slugSuffix = 6  // of the digest
)

var (
	slugOutside = regexp.MustCompile(`[^a-z0-9]`)
	slugDashes  = regexp.MustCompile(`-+`)
)

// Slug is the slug GitLab gives a new environment of that name.
func Slug(name string) string {
	s := slugOutside.ReplaceAllString(strings.ToLower(name), "-")
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		s = "env-" + s
	}
	s = slugDashes.ReplaceAllString(s, "-")
	if len(s) <= slugMost && s == name {
		return strings.TrimSuffix(s, "-")
	}
	if len(s) > slugPrefix {
		s = s[:slugPrefix]
	}
	if !strings.HasSuffix(s, "-") {
		s += "-"
	}
	sum := sha256.Sum256([]byte(name))
	digits := new(big.Int).SetBytes(sum[:]).Text(36)
	return s + digits[len(digits)-slugSuffix:]
}
