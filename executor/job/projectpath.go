package job

// This file reads repository URLs. It promises that credentials in a URL are
// dropped before anything else looks at it, and that a path is taken only if it
// could be a GitLab project's.

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// maxProjectPath bounds a full path in bytes: 20 levels of groups and a project
// of 255 characters each, with slashes, is the most that GitLab allows.
const maxProjectPath = 21 * 256

// withoutUserinfo drops user and password from an http(s) URL. What is no such
// URL becomes "": it could hold the job token anywhere.
func withoutUserinfo(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// repoPath gives the path of a repository URL without its first slash and ".git".
func repoPath(repoURL string) (string, error) {
	if repoURL == "" {
		return "", errors.New("missing, or no http URL")
	}
	u, err := url.Parse(repoURL)
	if err != nil {
		return "", errors.New("not a URL")
	}
	path, ok := strings.CutSuffix(strings.TrimPrefix(u.Path, "/"), ".git")
	if !ok || path == "" {
		return "", errors.New("its path does not end in .git")
	}
	return path, nil
}

// validProjectPath says whether path has the form group/.../project in GitLab's
// alphabet: letters, digits, "_", "-" and ".".
func validProjectPath(path string) error {
	if len(path) > maxProjectPath {
		return fmt.Errorf("a project path of %d bytes", len(path))
	}
	segments := strings.Split(path, "/")
	if len(segments) < 2 {
		return fmt.Errorf("%s is not the path of a project in a group", Quote(path))
	}
	for _, s := range segments {
		if s == "" || s == "." || s == ".." || strings.Trim(s, alphabet) != "" {
			return fmt.Errorf("%s is not a project path", Quote(path))
		}
	}
	return nil
}

const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."
