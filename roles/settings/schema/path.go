package schema

import (
	"path/filepath"
	"slices"
	"strings"
)

// AbsolutePath is a Check of a directory's or a file's name.
func AbsolutePath(v string) string {
	switch {
	case !filepath.IsAbs(v):
		return "must be an absolute path: the stages run in a temporary directory of the runner"
	case filepath.Clean(v) == "/":
		return "must not be the root directory"
	case slices.Contains(strings.Split(v, "/"), ".."):
		return `must not hold ".."`
	}
	return ""
}

// Clean is a path without a trailing slash and the like; "" stays "".
func Clean(v string) string {
	if v == "" {
		return ""
	}
	return filepath.Clean(v)
}
