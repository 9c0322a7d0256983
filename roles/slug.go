package roles

import (
	"crypto/sha256"
	"math/big"
	"strings"
	"unicode"
)

// This file repeats GitLab's arithmetic of slugs. A slug proves nothing by
// itself: different names can share one.

// Lengths of GitLab's slugs, in bytes.
const (
	maxEnvironmentSlug = 24
	slugStem           = 17
	slugSuffix         = 6
	maxPathSlug        = 63
)

// EnvironmentSlug is the slug that GitLab gives an environment of this name
// (CI_ENVIRONMENT_SLUG).
func EnvironmentSlug(name string) string {
	slug := squeezed(name)
	if len(slug) <= maxEnvironmentSlug && slug == name {
		return strings.TrimSuffix(slug, "-")
	}
	sum := sha256.Sum256([]byte(name))
	digest := new(big.Int).SetBytes(sum[:]).Text(36)
	if len(digest) > slugSuffix {
		digest = digest[len(digest)-slugSuffix:]
	}
	return stem(slug) + digest
}

// SlugCouldBelong says whether an environment of this name can have this slug:
// the computed one, or, as environments of very old GitLab versions have, the
// same beginning with six random characters.
func SlugCouldBelong(name, slug string) bool {
	if slug == "" {
		return false
	}
	want := EnvironmentSlug(name)
	if slug == want {
		return true
	}
	plain := squeezed(name)
	if len(plain) <= maxEnvironmentSlug && plain == name {
		return false // such names never got a suffix
	}
	rest, ok := strings.CutPrefix(slug, stem(plain))
	if !ok || len(rest) != slugSuffix {
		return false
	}
	for i := range len(rest) {
		if !slugChar(rest[i]) {
			return false
		}
	}
	return true
}

// squeezed is a name in the slug's alphabet, begun with a letter, without
// double dashes.
func squeezed(name string) string {
	slug := dashed(name)
	if slug == "" || slug[0] < 'a' || slug[0] > 'z' {
		slug = "env-" + slug
	}
	var b strings.Builder
	for i := range len(slug) {
		if slug[i] != '-' || i == 0 || slug[i-1] != '-' {
			b.WriteByte(slug[i])
		}
	}
	return b.String()
}

// stem is the part of a slug before its suffix, ended with a dash.
func stem(slug string) string {
	if len(slug) > slugStem {
		slug = slug[:slugStem]
	}
	if !strings.HasSuffix(slug, "-") {
		slug += "-"
	}
	return slug
}

// pathSlug is the slug of a project path, namespace or ref
// (CI_PROJECT_PATH_SLUG, CI_COMMIT_REF_SLUG): at most 63 bytes, no dash at
// either end. It is empty where no letter or digit is left.
func pathSlug(s string) string {
	slug := dashed(s)
	if len(slug) > maxPathSlug {
		slug = slug[:maxPathSlug]
	}
	return strings.Trim(slug, "-")
}

// dashed is s in lower case with a dash for each character that is not a-z0-9.
func dashed(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		if r == 'İ' { // the one character whose lower case is two in GitLab
			b.WriteString("i-")
			continue
		}
		r = unicode.ToLower(r)
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
			b.WriteRune(r)
		} else {
			b.WriteByte('-')
		}
	}
	return b.String()
}

func slugChar(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
