package job

// This file finds CI/CD variables that would hide the lent session: the job's
// script exports its variables after the driver set the environment. It is a
// help to authors, not a security control.

import (
	"maps"
	"slices"
	"strings"
)

// customEnv is what the runner puts before the name of each job variable in
// the environment of a stage.
const customEnv = "CUSTOM_ENV_"

// shadows says whether a job variable would take the session's place in some
// SDK: credentials, the profiles and files that lead to others, and
// AWS_SECURITY_TOKEN, which botocore reads before AWS_SESSION_TOKEN.
func shadows(name string) bool {
	switch name {
	case "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
		"AWS_CREDENTIAL_EXPIRATION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE":
		return true
	}
	return strings.HasPrefix(name, "AWS_CONTAINER_")
}

// Shadowing gives the names of the job variables in environ ("K=v") that would
// shadow a session, sorted, without the prefix and never with a value. An empty
// value counts: exported, it hides the session just as well. A name that no
// shell could use is given quoted: it is for a message, and its author may have
// put a line break into it.
func Shadowing(environ []string) []string {
	found := map[string]bool{}
	for _, entry := range environ {
		key, _, _ := strings.Cut(entry, "=")
		if name, ok := strings.CutPrefix(key, customEnv); ok && shadows(name) {
			found[shown(name)] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func shown(name string) string {
	if strings.Trim(name, variableAlphabet) == "" {
		return name
	}
	return Quote(name)
}

const variableAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
