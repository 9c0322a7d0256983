package stage

import (
	"fmt"
	"io"
	"strings"

	"envrole/roles/fault"
)

// Explain prints an error for whoever reads the job's log: what failed on the
// first line, what to do below it.
func Explain(w io.Writer, err error) {
	prefix := "envrole: "
	switch fault.ClassOf(err) {
	case fault.Refused:
		prefix += "refused: "
	case fault.Permanent:
		prefix += "cannot go on: "
	case fault.Passing:
		prefix += "failed for now: "
	case fault.Internal:
		prefix += "failed: "
	}
	// Only the first line is EnvRole's own to begin: a name with a line break
	// must not fake another.
	fmt.Fprintln(w, prefix+strings.ReplaceAll(Printable(err.Error()), "\n", "\n  "))
	if help := fault.HelpOf(err); help != "" {
		fmt.Fprintln(w, "  "+strings.ReplaceAll(Printable(help), "\n", "\n  "))
	}
}

// Say prints one calm line into the job's log.
func Say(w io.Writer, format string, args ...any) {
	fmt.Fprintln(w, "envrole: "+strings.ReplaceAll(Printable(fmt.Sprintf(format, args...)), "\n", " "))
}

// Printable replaces control characters, which names and answers from outside
// may hold, so that no text can move a terminal's cursor or fake another line.
// Line breaks stay: callers print whole blocks.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) || r == 0x2028 || r == 0x2029 || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) {
			return '\uFFFD'
		}
		return r
	}, s)
}
