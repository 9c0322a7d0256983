package driver

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// What a program of the driver reads is checked before each session as far as
// its arguments name it by an absolute path (MayLend). The rest can only be
// pointed at, by `envrole check`.

// inlining is an interpreter that runs code that stands in an argument, behind
// one of its options.
type inlining struct{ name, inline *regexp.Regexp }

// interpreters are made when `envrole check` asks: other programs that link this
// package start for every script.
func interpreters() []inlining {
	return []inlining{
		{regexp.MustCompile(`^(ba|da|a|k|mk|z)?sh$`), regexp.MustCompile(`^-[a-zA-Z]*c[a-zA-Z]*$`)},
		{regexp.MustCompile(`^python[0-9.]*$`), regexp.MustCompile(`^-[a-zA-Z]*[cm]$`)},
		{regexp.MustCompile(`^(perl|ruby)[0-9.]*$`), regexp.MustCompile(`^-[a-zA-Z]*[eE]$`)},
		{regexp.MustCompile(`^node(js)?$`), regexp.MustCompile(`^(-e|-p|-r|--eval|--print|--require|--import)$`)},
	}
}

// unchecked says what of a command nobody looks at.
func unchecked(argv []string) []string {
	var out []string
	all := interpreters()
	inline, script := (*regexp.Regexp)(nil), false // an interpreter's; its script is still to come
	for i, arg := range argv {
		word := filepath.Base(arg)
		known := slices.IndexFunc(all, func(p inlining) bool { return p.name.MatchString(word) })
		_, value, _ := strings.Cut(arg, "=")
		switch {
		case known >= 0 && inline == nil:
			inline, script = all[known].inline, true
		case i == 0:
		case script && inline.MatchString(arg) && i+1 < len(argv):
			return append(out, fmt.Sprintf("what %q reads and starts is not looked at: name a file by its absolute path, so that a session is refused if others can change it", argv[i+1]))
		case strings.HasPrefix(arg, "./"), strings.HasPrefix(arg, "../"), strings.HasPrefix(value, "./"), strings.HasPrefix(value, "../"),
			script && !strings.HasPrefix(arg, "-") && !filepath.IsAbs(arg):
			out = append(out, fmt.Sprintf("%q is relative to the job's temporary directory and is not looked at: name the file by its absolute path", arg))
			script = false
		case script && !strings.HasPrefix(arg, "-"):
			script = false // what follows is the script's own
		}
	}
	return out
}
