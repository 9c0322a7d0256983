package docker

// This file reads image references. It promises that a name is taken apart in
// one way only, and that what goes to the Engine is the full name: one that the
// Engine cannot take for the id, or the beginning of the id, of whatever image
// lies on this host.

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	hub        = "docker.io"
	hubOld     = "index.docker.io"
	hubLibrary = "library/"
	latest     = "latest"

	maxName = 255 // of domain and path together, by the distribution's grammar
	maxTag  = 128
)

// Reference is an image reference, taken apart.
type Reference struct {
	Domain string // registry with its port, lower case; "docker.io" if none was written
	Path   string // "library/ruby"
	Tag    string // "latest" if neither tag nor digest was written; "" with a digest alone
	Digest string // "sha256:..." or ""

	written string // domain and path as they were written: services take names from it
}

// ParseReference reads "ruby", "ruby:3.4", "registry.example.com:5000/a/b@sha256:...".
// Upper case is refused but in tags, as is everything outside the grammar.
func ParseReference(s string) (Reference, error) {
	var r Reference
	name, digest, hasDigest := strings.Cut(s, "@")
	if hasDigest {
		algorithm, hex, _ := strings.Cut(digest, ":")
		if algorithm != "sha256" || len(hex) != 64 || strings.Trim(hex, "0123456789abcdef") != "" {
			return r, errors.New("the digest behind @ must be sha256: and 64 hexadecimal digits in lower case")
		}
		r.Digest = digest
	}
	// A colon behind the last slash begins the tag; before it, a port.
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		r.Tag = name[i+1:]
		name = name[:i]
		if !validTag(r.Tag) {
			return r, errors.New("the tag must be 1 to 128 letters, digits, underscores, dots and dashes, and not begin with a dot or dash")
		}
	}
	r.written = name
	if r.Tag == "" && r.Digest == "" {
		r.Tag = latest
	}
	r.Domain, r.Path = hub, name
	if first, rest, ok := strings.Cut(name, "/"); ok && (strings.ContainsAny(first, ".:") || first == "localhost") {
		r.Domain, r.Path = first, rest
	}
	if r.Domain == hubOld {
		r.Domain = hub
	}
	if r.Domain == hub && !strings.Contains(r.Path, "/") {
		r.Path = hubLibrary + r.Path
	}
	if !validDomain(r.Domain) {
		return r, errors.New("the registry must be a host name in lower case, with or without a port")
	}
	for component := range strings.SplitSeq(r.Path, "/") {
		if !validComponent(component) {
			return r, errors.New("between slashes there must be lower-case letters and digits, separated by single dots, one or two underscores, or dashes")
		}
	}
	if len(r.Domain)+1+len(r.Path) > maxName {
		return r, fmt.Errorf("longer than %d characters", maxName)
	}
	return r, nil
}

// Name is the full name: domain, path, tag and digest.
func (r Reference) Name() string { return r.Domain + "/" + r.Path + r.suffix() }

func (r Reference) suffix() string {
	s := ""
	if r.Tag != "" {
		s = ":" + r.Tag
	}
	if r.Digest != "" {
		s += "@" + r.Digest
	}
	return s
}

// Familiar is the name as people write it: without "docker.io/library/".
func (r Reference) Familiar() string {
	best := r.Name()
	for _, name := range r.spellings() {
		if len(name)+len(r.suffix()) < len(best) {
			best = name + r.suffix()
		}
	}
	return best
}

// spellings are the ways to write domain and path that mean the same image.
func (r Reference) spellings() []string {
	out := []string{r.Domain + "/" + r.Path}
	if r.Domain != hub {
		return out
	}
	short := strings.TrimPrefix(r.Path, hubLibrary)
	for _, name := range []string{r.Path, hubOld + "/" + r.Path, short, hub + "/" + short, hubOld + "/" + short} {
		// library/a/b is not a/b, nor is docker.io/docker.io/a docker.io/a.
		if again, err := ParseReference(name); err == nil && again.Domain == r.Domain && again.Path == r.Path && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func validTag(s string) bool {
	if s == "" || len(s) > maxTag || s[0] == '.' || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && (c < 'A' || c > 'Z') && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

// validComponent follows the distribution's grammar for one part of a path.
func validComponent(s string) bool {
	if s == "" || !alphanumeric(s[0]) || !alphanumeric(s[len(s)-1]) {
		return false
	}
	for i := 0; i < len(s); {
		if alphanumeric(s[i]) {
			i++
			continue
		}
		n := i
		for n < len(s) && s[n] == s[i] {
			n++
		}
		switch s[i] {
		case '-':
		case '.':
			if n-i > 1 {
				return false
			}
		case '_':
			if n-i > 2 {
				return false
			}
		default:
			return false
		}
		if !alphanumeric(s[n]) { // not the last byte: that one is alphanumeric
			return false
		}
		i = n
	}
	return true
}

func validDomain(s string) bool {
	host, port, hasPort := cutPort(s)
	if hasPort && (port == "" || len(port) > 5 || strings.Trim(port, "0123456789") != "") {
		return false
	}
	if v6, ok := strings.CutPrefix(host, "["); ok {
		v6, ok = strings.CutSuffix(v6, "]")
		return ok && v6 != "" && strings.Trim(v6, "0123456789abcdef:") == ""
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || !alphanumeric(label[0]) || !alphanumeric(label[len(label)-1]) {
			return false
		}
		for i := range len(label) {
			if !alphanumeric(label[i]) && label[i] != '-' {
				return false
			}
		}
	}
	return true
}

// cutPort parts a domain and its port; the colons of an IPv6 address are in brackets.
func cutPort(s string) (host, port string, ok bool) {
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
