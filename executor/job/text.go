package job

// This file prints hostile text: quoted, so that it cannot move a terminal's
// cursor or forge a log line, and cut to a length that fits one.

import (
	"strconv"
	"unicode/utf8"
)

// maxQuoted is how many characters of an author's text an error repeats.
const maxQuoted = 100

// Quote prints a text that somebody else wrote: quoted, in ASCII, cut after 100
// characters.
func Quote(s string) string {
	if utf8.RuneCountInString(s) <= maxQuoted {
		return strconv.QuoteToASCII(s)
	}
	return strconv.QuoteToASCII(string([]rune(s)[:maxQuoted])) + "..."
}

// distinct gives the different texts of all, in order of first appearance.
func distinct(all []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range all {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
