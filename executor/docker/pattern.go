package docker

// This file matches images with the administrator's lists. Patterns mean what
// they mean in GitLab Runner's own configuration, so that a list can be copied:
// * and ? do not cross a slash, ** between slashes does, [abc] and {a,b} work.
// It promises that the answer depends on the image, not on how its name is
// written.

import (
	"errors"
	"path"
	"slices"
	"strings"
)

// maxAlternatives bounds what {a,b}{c,d} may unfold to.
const maxAlternatives = 1000

// anyTag stands for whatever tag a reference with a digest has: with a digest
// the tag says nothing about what is run, so only a pattern that takes any tag
// takes it.
const anyTag = "a-tag-that-nobody-writes"

// Allowed says whether one of the patterns takes the image. No pattern at all
// allows every image. A bad pattern takes none.
func Allowed(r Reference, patterns []string) bool {
	if len(patterns) == 0 {
		return true
	}
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		alternatives, err := unfold(pattern)
		if err != nil {
			return false
		}
		for _, name := range candidates(r, pattern) {
			for _, alternative := range alternatives {
				if matchPath(strings.Split(alternative, "/"), strings.Split(name, "/")) {
					return true
				}
			}
		}
		return false
	})
}

// candidates are the texts of which a pattern must match one.
func candidates(r Reference, pattern string) []string {
	var suffixes []string
	switch {
	case r.Digest != "":
		suffixes = []string{"@" + r.Digest, ":" + anyTag + "@" + r.Digest}
		if strings.HasSuffix(pattern, "@"+r.Digest) { // pinned: whatever the tag, it is that image
			suffixes = append(suffixes, r.suffix())
		}
	case r.Tag == latest:
		suffixes = []string{":" + latest, ""}
	default:
		suffixes = []string{":" + r.Tag}
	}
	var out []string
	for _, name := range r.spellings() {
		for _, suffix := range suffixes {
			out = append(out, name+suffix)
		}
	}
	return out
}

// checkPattern says what is wrong with a pattern, or "".
func checkPattern(pattern string) string {
	switch alternatives, err := unfold(pattern); {
	case pattern == "":
		return "is empty: it matches no image"
	case strings.Contains(pattern, "$"):
		return "must not hold $: variables are not expanded in it, since authors can set them"
	case strings.ContainsAny(pattern, " \t\n"):
		return "must not hold white space: each image is an entry of its own"
	case err != nil:
		return err.Error()
	default:
		for _, alternative := range alternatives {
			for segment := range strings.SplitSeq(alternative, "/") {
				if _, err := path.Match(class(segment), ""); err != nil {
					return `has a [ without its ], or ends in a \`
				}
			}
		}
	}
	return ""
}

// unfold gives the patterns that {a,b} stands for.
func unfold(pattern string) ([]string, error) {
	pending, done := []string{pattern}, []string(nil)
	for len(pending) > 0 {
		p := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		open, parts, end, err := braces(p)
		if err != nil {
			return nil, err
		}
		if open < 0 {
			done = append(done, p)
		}
		for _, part := range parts {
			pending = append(pending, p[:open]+part+p[end:])
		}
		if len(pending)+len(done) > maxAlternatives {
			return nil, errors.New("has too many alternatives in { }")
		}
	}
	return done, nil
}

// braces finds the first { outside [ ], its alternatives, and what follows its
// }. open is -1 if there is none.
func braces(p string) (open int, parts []string, end int, err error) {
	open = -1
	depth, start, inClass := 0, 0, false
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '\\':
			i++
		case inClass:
			inClass = c != ']'
		case c == '[':
			inClass = true
		case c == '{':
			if depth++; depth == 1 {
				open, start = i, i+1
			}
		case c == ',' && depth == 1:
			parts = append(parts, p[start:i])
			start = i + 1
		case c == '}' && depth > 0:
			if depth--; depth == 0 {
				return open, append(parts, p[start:i]), i + 1, nil
			}
		}
	}
	if depth > 0 {
		return 0, nil, 0, errors.New("has a { without its }")
	}
	return -1, nil, 0, nil
}

// matchPath matches a pattern's segments with a name's.
func matchPath(pattern, name []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for i := range len(name) + 1 {
				if matchPath(pattern[1:], name[i:]) {
					return true
				}
			}
			return false
		}
		if len(name) == 0 {
			return false
		}
		if ok, err := path.Match(class(pattern[0]), name[0]); err != nil || !ok {
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	return len(name) == 0
}

// class writes [!abc] as [^abc], which is what package path knows.
func class(segment string) string { return strings.ReplaceAll(segment, "[!", "[^") }
