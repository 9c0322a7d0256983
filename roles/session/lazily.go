package session

import (
	"regexp"
	"sync"
)

// lazily compiles an expression when it is first used: most of this package's
// are for failures, and compiling them all took a millisecond of every start.
func lazily(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
