package shell

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// jobVariable marks every process of a job, so that cleanup finds what a killed
// run stage left behind.
const jobVariable = "ENVROLE_JOB"

// metadataDisabled keeps SDKs from asking the metadata service for the runner's
// own role. It is a convenience for jobs, not a boundary.
const metadataDisabled = "AWS_EC2_METADATA_DISABLED=true"

// environ builds a job's environment from nothing: own is the stage's own
// environment, of which only named variables are taken, and add is what the
// caller gives ("K=v"). Of several with one name the last wins.
func (p Plan) environ(own, add []string) []string {
	from := map[string]string{}
	for _, kv := range own {
		if k, v, ok := strings.Cut(kv, "="); ok {
			from[k] = v
		}
	}
	env := []string{
		"PATH=" + searchPath(from["PATH"]),
		"HOME=" + p.Home,
		"USER=" + p.User,
		"LOGNAME=" + p.User,
		"SHELL=" + p.Shell,
		"TMPDIR=" + p.tmpDir(),
		"TERM=" + cmp.Or(from["TERM"], "dumb"),
		jobVariable + "=" + p.marker(),
		metadataDisabled,
	}
	for k, v := range from {
		if k == "LANG" || k == "LANGUAGE" || strings.HasPrefix(k, "LC_") {
			env = append(env, k+"="+v)
		}
	}
	for _, k := range p.PassEnv {
		// Checked again: the plan may be of a version with other rules.
		if v, ok := from[k]; ok && refusedName(k) == "" {
			env = append(env, k+"="+v)
		}
	}
	return lastWins(append(env, add...))
}

// tmpDir is the job's TMPDIR. That of the runner is private to its user and
// removed by it when the job ends.
func (p Plan) tmpDir() string {
	if p.isolated() {
		return "/tmp" // its own
	}
	if p.TmpDir != "" {
		return p.TmpDir
	}
	if own := os.Getenv("TMPDIR"); filepath.IsAbs(own) {
		return own
	}
	return "/tmp"
}

func lastWins(env []string) []string {
	at := make(map[string]int, len(env))
	out := env[:0:0]
	for _, kv := range env {
		k, _, _ := strings.Cut(kv, "=")
		if i, ok := at[k]; ok {
			out[i] = kv
			continue
		}
		at[k] = len(out)
		out = append(out, kv)
	}
	return out
}

// refusedName says why a variable must not be in pass_env, or "". It keeps out
// what carries the runner's credentials, what the runner hands to its driver,
// and what would let the runner's environment run code in the job's shell.
func refusedName(name string) string {
	switch {
	case !variableName(name):
		return "is not the name of a variable"
	case strings.HasPrefix(name, "AWS_ENDPOINT_URL"), name == "AWS_CA_BUNDLE":
		return "" // where AWS is, not who asks
	case strings.HasPrefix(name, "AWS_"):
		return "AWS variables of the runner never reach a job"
	case strings.HasPrefix(name, "CUSTOM_ENV_"), strings.HasPrefix(name, "ENVROLE_"), strings.HasPrefix(name, "BUILD_"),
		name == "JOB_RESPONSE_FILE", name == "SYSTEM_FAILURE_EXIT_CODE":
		return "is between the runner and its driver"
	case strings.HasPrefix(name, "LD_"), strings.HasPrefix(name, "BASH"), name == "ENV", name == "IFS", name == "SHELLOPTS", name == "PS4":
		return "changes what the job's shell runs"
	}
	switch name {
	case "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TERM":
		return "is set by the base itself"
	}
	return ""
}

func variableName(s string) bool {
	return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(s)
}
