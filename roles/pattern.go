package roles

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Pattern is a text in which * stands for any run of characters, the empty one
// and / included; everything else is literal. It matches the whole string and
// is case-sensitive, like GitLab's environment scopes.
type Pattern string

// maxPattern is the longest pattern in bytes. GitLab's environment, branch and
// user names end at 255 characters, full project paths some way above.
const maxPattern = 1024

// Match says whether the whole of s has the form of p. It allocates nothing:
// because * is the only wildcard, taking the leftmost place of each literal
// part is always right, so there is no backtracking that hostile text could
// blow up.
func (p Pattern) Match(s string) bool {
	rest := string(p)
	if rest == s {
		return true
	}
	star := strings.IndexByte(rest, '*')
	if star < 0 {
		return false
	}
	if !strings.HasPrefix(s, rest[:star]) {
		return false
	}
	s, rest = s[star:], rest[star+1:]
	for {
		star = strings.IndexByte(rest, '*')
		if star < 0 {
			return strings.HasSuffix(s, rest)
		}
		at := strings.Index(s, rest[:star])
		if at < 0 {
			return false
		}
		s, rest = s[at+star:], rest[star+1:]
	}
}

// Literal says whether the pattern holds no wildcard, so that exactly one
// string matches it.
func (p Pattern) Literal() bool { return strings.IndexByte(string(p), '*') < 0 }

// Validate says why the pattern could not be meant: it is empty, too long, not
// UTF-8, or holds characters that nobody can see.
func (p Pattern) Validate() error {
	s := string(p)
	switch {
	case s == "":
		return errors.New("the pattern is empty; * matches everything")
	case len(s) > maxPattern:
		return fmt.Errorf("the pattern has %d bytes; %d is the most", len(s), maxPattern)
	case !utf8.ValidString(s):
		return errors.New("the pattern is not valid UTF-8")
	case strings.TrimSpace(s) != s:
		return fmt.Errorf("the pattern %s begins or ends with white space", quote(s))
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return fmt.Errorf("the pattern %s holds the invisible character %U", quote(s), r)
		}
	}
	return nil
}

// covers says whether everything that q matches is matched by p too. Read as a
// plain string, q can have its stars consumed only by stars of p, and what a
// star of p consumes may be anything: so a match proves the inclusion.
func (p Pattern) covers(q Pattern) bool { return p.Match(string(q)) }

func anyMatch(patterns []Pattern, s string) bool {
	for _, p := range patterns {
		if p.Match(s) {
			return true
		}
	}
	return false
}
