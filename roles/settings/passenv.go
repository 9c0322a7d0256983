package settings

import (
	"fmt"
	"slices"
	"strings"
)

// pass_env hands variables of the runner's own environment to every job. Some
// names are refused because their values are the runner's or the driver's own
// secrets, others because they decide what a shell executes before the first
// line of the job's script. PATH is allowed: it is the administrator's value,
// and the only way to name where programs such as gitlab-runner lie.

// envRefusal is a group of names and why jobs must not have them.
type envRefusal struct {
	why      string
	names    []string
	prefixes []string
}

var envRefusals = []envRefusal{
	{
		why:      "the runner's own AWS credentials and settings never reach a job",
		prefixes: []string{"AWS_"},
	},
	{
		why:      "it belongs to the runner and the driver: jobs could read the job's key and answer in the driver's place",
		names:    []string{"JOB_RESPONSE_FILE"},
		prefixes: []string{"CUSTOM_ENV_", "ENVROLE_", "BUILD_"},
	},
	{
		why: "it holds or opens credentials of the runner",
		names: []string{
			"CI_JOB_TOKEN", "CI_SERVER_TOKEN", "REGISTRATION_TOKEN", "RUNNER_TOKEN",
			"CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "SSH_AUTH_SOCK",
		},
	},
	{
		why: "it decides what is executed before the job's script begins",
		names: []string{
			"ENV", "GCONV_PATH", "GLIBC_TUNABLES", "IFS", "LOCPATH",
			"PROMPT_COMMAND", "PS4", "SHELLOPTS",
		},
		prefixes: []string{"BASH", "LD_"},
	},
	{
		why:   "the driver sets it for the job's own user",
		names: []string{"HOME", "LOGNAME", "SHELL", "TERM", "TMPDIR", "USER"},
	},
}

func checkPassEnv(name string) string {
	if !variableName(name) {
		return fmt.Sprintf("%q is not the name of an environment variable (patterns do not work here)", name)
	}
	for _, r := range envRefusals {
		if slices.Contains(r.names, name) || slices.ContainsFunc(r.prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			return name + " cannot be passed: " + r.why
		}
	}
	if strings.Contains(name, "_EXIT_CODE") {
		return name + " cannot be passed: jobs could answer in the driver's place"
	}
	return ""
}

func variableName(name string) bool {
	return only(name, func(c rune) bool { return letter(c) || digit(c) || c == '_' }) && !digit(rune(name[0]))
}

// secretWords make a name look like a secret's.
var secretWords = []string{"TOKEN", "SECRET", "PASSW", "CREDENTIAL", "PRIVATE_KEY", "API_KEY", "ACCESS_KEY"}

func looksSecret(name string) bool {
	upper := strings.ToUpper(name)
	return slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(upper, w) })
}
