package roles

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Longest piece of a value in a sentence, and in the facts of an explanation,
// in bytes. Values come from job authors and may be megabytes long.
const (
	maxQuoted = 200
	maxValue  = 1024
)

// quote makes a value safe to read in a log or terminal: quoted, with control
// and invisible characters escaped, and cut to a sane length.
func quote(s string) string {
	short := clip(s, maxQuoted)
	if len(short) == len(s) {
		return strconv.Quote(s)
	}
	return strconv.Quote(short) + "... (" + strconv.Itoa(len(s)) + " bytes)"
}

// clip cuts s to at most n bytes, at a character's border.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// maxListed is how many alternatives a sentence names.
const maxListed = 5

// list names what a rule accepts: `"a", "b" or "c"`.
func list[T ~string](values []T) string {
	var b strings.Builder
	for i, v := range values {
		if i == maxListed {
			b.WriteString(" or " + strconv.Itoa(len(values)-i) + " more")
			break
		}
		switch {
		case i == 0:
		case i == len(values)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(quote(string(v)))
	}
	return b.String()
}
