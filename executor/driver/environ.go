package driver

import (
	"os"
	"slices"
	"strings"
)

const (
	// ours begins the names of what EnvRole's stages hand on to each other, the
	// key of the job among it.
	ours = "ENVROLE_"
	// carrier begins the name under which a variable of the wrapped driver's
	// job_env travels that would mean something to EnvRole's own stages.
	carrier = "DRIVER_JOB_ENV_"
)

// aside says whether a variable of the wrapped driver's job_env would change
// what EnvRole's own stages do: which AWS identity they have, which payload they
// read, whom they talk to. It reaches the driver all the same, by its own name.
func aside(name string) bool {
	for _, prefix := range []string{"AWS_", "GO", "LD_", "SSL_CERT_", carrier} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return slices.Contains([]string{
		"BUILD_EXIT_CODE_FILE", "BUILD_FAILURE_EXIT_CODE", "HOME", "JOB_RESPONSE_FILE", "LOCALDOMAIN", "PATH",
		"RES_OPTIONS", "SYSTEM_FAILURE_EXIT_CODE", "TMPDIR",
	}, name) || slices.Contains([]string{"ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"}, strings.ToUpper(name))
}

// environ is the environment of the wrapped driver: this process's own, as the
// runner made it, without what is EnvRole's and the runner's AWS identity. Of
// names that come twice the last counts, as in the runner.
func (p Plan) environ() []string { return p.environOf(os.Environ()) }

func (p Plan) environOf(own []string) []string {
	env := make([]string, 0, len(own))
	var back []string
	for _, kv := range own {
		name, _, _ := strings.Cut(kv, "=")
		switch {
		case strings.HasPrefix(name, ours):
		case strings.HasPrefix(name, carrier):
			back = append(back, kv[len(carrier):])
		case strings.HasPrefix(name, "AWS_") && !slices.Contains(p.PassAWS, name):
		default:
			env = append(env, kv)
		}
	}
	return append(env, back...)
}

// shown is what inject = "env" adds for a session.
func shown(session []string) []string {
	out := make([]string, 0, 2*len(session))
	for _, kv := range session {
		out = append(out, kv, "CUSTOM_ENV_"+kv)
	}
	return out
}
