package roles

import (
	"slices"
	"strings"
)

// This file matches where a pipeline's configuration lies: PROJECT//FILE@REF.
// The ref comes last and is the author's to name, and Git allows a branch
// "x@refs/heads/main". So what precedes the ref and the ref itself are matched
// apart: a star in the one never reaches into the other.

// splitConfig takes a claim apart, ok where it has the form.
func splitConfig(claim string) (file, ref string, ok bool) {
	file, ref, ok = strings.Cut(claim, "@refs/")
	return file, "refs/" + ref, ok && file != ""
}

// splitConfig takes a pattern apart as checkConfig reads it. One without a ref
// has the form of no claim, but for the star that means any.
func (p Pattern) splitConfig() (file, ref Pattern) {
	if p == "*" {
		return p, p
	}
	project, rest, _ := strings.Cut(string(p), "//")
	f, r, _ := strings.Cut(rest, "@")
	return Pattern(project + "//" + f), Pattern(r)
}

func configIn(patterns []Pattern, claim string) bool {
	file, ref, ok := splitConfig(claim)
	return ok && slices.ContainsFunc(patterns, func(p Pattern) bool {
		f, r := p.splitConfig()
		return f.Match(file) && r.Match(ref)
	})
}

// configImplied says whether a claim that meets inner meets outer.
func configImplied(outer, inner []Pattern) bool {
	if len(outer) == 0 {
		return true
	}
	for _, q := range inner {
		qf, qr := q.splitConfig()
		if !slices.ContainsFunc(outer, func(p Pattern) bool {
			pf, pr := p.splitConfig()
			return pf.covers(qf) && pr.covers(qr)
		}) {
			return false
		}
	}
	return len(inner) > 0
}
