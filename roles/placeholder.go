package roles

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A placeholder is a name in braces, {project_id}. What stands in its place
// comes from proven facts only and has an alphabet in which no value can end a
// JSON string, be a wildcard or a policy variable, or cross a / or : of an ARN.
const (
	phProjectID       = "project_id"
	phJobID           = "job_id"
	phEnvironmentSlug = "environment_slug"
	phTier            = "tier"
	phProjectSlug     = "project_slug"
	phNamespaceSlug   = "namespace_slug"
	phRefSlug         = "ref_slug"
	phUserLogin       = "user_login"
)

// knownPlaceholders in the order in which messages list them.
func knownPlaceholders() []string {
	return []string{
		phProjectID, phEnvironmentSlug, phTier, phJobID,
		phProjectSlug, phNamespaceSlug, phRefSlug, phUserLogin,
	}
}

// The tiers that GitLab stores.
func knownTiers() []string {
	return []string{"production", "staging", "testing", "development", "other"}
}

// Placeholders lists the placeholders of a text, each once, in the order in
// which they appear. The error names those that EnvRole does not know, or that
// stand behind a $ as if they were variables. Braces around anything but a name
// are ordinary text, as in JSON.
func Placeholders(text string) ([]string, error) {
	var names, unknown []string
	var err error
	for rest := text; ; {
		start, end := nextPlaceholder(rest)
		if start < 0 {
			break
		}
		name := rest[start+1 : end-1]
		if start > 0 && rest[start-1] == '$' {
			err = fmt.Errorf("write {%s} without the $", name)
		}
		switch {
		case !slices.Contains(knownPlaceholders(), name):
			if !slices.Contains(unknown, name) {
				unknown = append(unknown, name)
			}
		case !slices.Contains(names, name):
			names = append(names, name)
		}
		rest = rest[end:]
	}
	if len(unknown) > 0 {
		err = fmt.Errorf("unknown placeholder %s; there are {%s}",
			list(unknown), strings.Join(knownPlaceholders(), "} {"))
	}
	return names, err
}

// nextPlaceholder finds the first {name}: text[start:end], braces included.
// start is -1 if there is none.
func nextPlaceholder(text string) (start, end int) {
	for start = 0; start < len(text); start++ {
		if text[start] != '{' {
			continue
		}
		end = start + 1
		for end < len(text) && placeholderChar(text[end]) {
			end++
		}
		if end > start+1 && end < len(text) && text[end] == '}' {
			return start, end + 1
		}
	}
	return -1, -1
}

func placeholderChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

// replaced is text with each placeholder replaced by what value gives for it.
// Values are not looked at again: a value cannot bring in a placeholder.
func replaced(text string, value func(name string) (string, error)) (string, error) {
	start, end := nextPlaceholder(text)
	if start < 0 {
		return text, nil
	}
	var b strings.Builder
	for start >= 0 {
		v, err := value(text[start+1 : end-1])
		if err != nil {
			return "", err
		}
		b.WriteString(text[:start])
		b.WriteString(v)
		text = text[end:]
		start, end = nextPlaceholder(text)
	}
	b.WriteString(text)
	return b.String(), nil
}

// placeholder gives the value of one placeholder, or says which fact is missing
// or unfit.
func (f *Facts) placeholder(name string) (string, error) {
	v, err := f.placeholderValue(name)
	if err != nil {
		return "", fmt.Errorf("{%s} cannot be filled: %w", name, err)
	}
	return v, nil
}

func (f *Facts) placeholderValue(name string) (string, error) {
	switch name {
	case phProjectID:
		return idValue("the project's id", f.ProjectID)
	case phJobID:
		return idValue("the job's id", f.JobID)
	case phEnvironmentSlug:
		return provenValue("the environment's slug", f.EnvironmentSlug, validEnvironmentSlug)
	case phTier:
		return provenValue("the tier", f.Tier, func(s string) bool { return slices.Contains(knownTiers(), s) })
	case phUserLogin:
		return provenValue("the user's login", f.UserLogin, validLogin)
	case phProjectSlug:
		return slugValue("the project's path", f.ProjectPath, func(s string) string { return s })
	case phNamespaceSlug:
		return slugValue("the project's namespace", f.ProjectPath, namespace)
	case phRefSlug:
		return slugValue("the ref", f.Ref, func(s string) string { return s })
	}
	return "", errors.New("there is no such placeholder")
}

// namespace is the part of a project's path before its own name.
func namespace(path string) string {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i]
	}
	return ""
}

func idValue(what string, id int64) (string, error) {
	if id <= 0 {
		return "", fmt.Errorf("%s is not known", what)
	}
	return strconv.FormatInt(id, 10), nil
}

func provenValue(what string, f Fact, valid func(string) bool) (string, error) {
	switch {
	case !f.Known() || f.Value == "":
		return "", fmt.Errorf("%s is not known", what)
	case !f.Proven():
		return "", fmt.Errorf("%s %s is only %s's word", what, quote(f.Value), f.From)
	case !valid(f.Value):
		return "", fmt.Errorf("%s %s has an unexpected form", what, quote(f.Value))
	}
	return f.Value, nil
}

func slugValue(what string, f Fact, part func(string) string) (string, error) {
	v, err := provenValue(what, f, func(string) bool { return true })
	if err != nil {
		return "", err
	}
	slug := pathSlug(part(v))
	if slug == "" {
		return "", fmt.Errorf("%s %s leaves nothing for a slug", what, quote(v))
	}
	return slug, nil
}

// validEnvironmentSlug holds GitLab's own rule: 24 characters at most, a letter
// first, no dash last.
func validEnvironmentSlug(s string) bool {
	return s != "" && len(s) <= maxEnvironmentSlug && 'a' <= s[0] && s[0] <= 'z' && s[len(s)-1] != '-' &&
		only(s, func(c byte) bool { return slugChar(c) || c == '-' })
}

// maxLogin is GitLab's longest username.
const maxLogin = 255

func validLogin(s string) bool {
	return s != "" && len(s) <= maxLogin && only(s, func(c byte) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.' || c == '-'
	})
}
