package fakeaws

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// checker collects the violations of a request as AWS reports them: all in one
// ValidationError.
type checker struct{ problems []string }

func (k *checker) add(value, name, constraint string) {
	if value != "null" {
		value = "'" + value + "'"
	}
	k.problems = append(k.problems,
		"Value "+value+" at '"+name+"' failed to satisfy constraint: "+constraint)
}

// text checks a string's presence, length in characters and pattern.
func (k *checker) text(value, name string, least, most int, pattern *regexp.Regexp) {
	n := utf8.RuneCountInString(value)
	if n < least {
		k.add(value, name, "Member must have length greater than or equal to "+strconv.Itoa(least))
	}
	if n > most {
		k.add(value, name, "Member must have length less than or equal to "+strconv.Itoa(most))
	}
	if pattern != nil && !pattern.MatchString(value) {
		k.add(value, name, "Member must satisfy regular expression pattern: "+bare(pattern))
	}
}

func (k *checker) required(p url.Values, key, name string) bool {
	if p.Has(key) {
		return true
	}
	k.add("null", name, "Member must not be null")
	return false
}

func (k *checker) err() *apiError {
	switch len(k.problems) {
	case 0:
		return nil
	case 1:
		return validation("1 validation error detected: " + k.problems[0])
	}
	return validation(fmt.Sprintf("%d validation errors detected: %s", len(k.problems), strings.Join(k.problems, "; ")))
}

// bare gives a pattern without its anchors, as AWS prints it.
func bare(re *regexp.Regexp) string {
	return strings.TrimSuffix(strings.TrimPrefix(re.String(), `\A`), `\z`)
}

// members reads the list parameter prefix.member.1, .2 ... with an optional
// field; it ends at the first number that is missing.
func members(p url.Values, prefix, field string) []string {
	var out []string
	for i := 1; ; i++ {
		key := prefix + ".member." + strconv.Itoa(i) + field
		if !p.Has(key) {
			return out
		}
		out = append(out, p.Get(key))
	}
}
