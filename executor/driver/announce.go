package driver

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"envrole/executor"
	"envrole/roles/fault"
)

// maxConfig bounds what config_exec may write to standard output, in bytes. The
// runner has no bound; a driver's settings are some hundred bytes.
const maxConfig = 1 << 20

// bounded keeps the first bytes of a stream, and whether there were more.
type bounded struct {
	data []byte
	left int
	more bool
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(b.left, len(p))
	b.data = append(b.data, p[:n]...)
	b.left -= n
	b.more = b.more || n < len(p)
	return len(p), nil
}

// configJSON is what the runner reads from config_exec. It ignores other keys.
// Source: GitLab Runner, executors/custom/api.
type configJSON struct {
	Driver *struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"driver"`
	Hostname          string            `json:"hostname"`
	BuildsDir         string            `json:"builds_dir"`
	CacheDir          string            `json:"cache_dir"`
	BuildsDirIsShared *bool             `json:"builds_dir_is_shared"`
	JobEnv            map[string]string `json:"job_env"`
	Shell             string            `json:"shell"`
}

// announcement reads what config_exec wrote; nothing at all is fine, as it is
// for the runner.
func announcement(out *bounded) (executor.Announcement, error) {
	const op = "read the output of config_exec"
	if out.more {
		return executor.Announcement{}, fault.New(fault.Internal, op, "", fmt.Errorf("more than %d bytes", maxConfig),
			"The wrapped driver's config_exec must write JSON to standard output, and everything else to standard error.")
	}
	if len(out.data) == 0 {
		return executor.Announcement{}, nil
	}
	var c configJSON
	if err := json.Unmarshal(out.data, &c); err != nil {
		return executor.Announcement{}, fault.New(fault.Internal, op, "", fmt.Errorf("no JSON that the runner could use: %w", err),
			"The wrapped driver's config_exec must write JSON to standard output, and everything else to standard error.")
	}
	env, err := carried(c.JobEnv)
	if err != nil {
		return executor.Announcement{}, fault.New(fault.Permanent, op, "job_env", err, "Administrator: the wrapped driver must use other names in its job_env.")
	}
	a := executor.Announcement{
		Hostname: c.Hostname, BuildsDir: c.BuildsDir, CacheDir: c.CacheDir,
		BuildsDirIsShared: c.BuildsDirIsShared, Shell: c.Shell, JobEnv: env,
	}
	if c.Driver != nil {
		a.Driver, a.DriverVersion = c.Driver.Name, c.Driver.Version
	}
	return a, nil
}

var (
	errOurName = errors.New("names that begin with ENVROLE_ are EnvRole's own")
	errNoName  = errors.New("not the name of a variable")
	errNUL     = errors.New("a value cannot hold a NUL")
)

// carried gives a job_env the names under which it travels; see aside.
func carried(env map[string]string) (map[string]string, error) {
	if env == nil {
		return nil, nil
	}
	out := make(map[string]string, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		switch {
		case strings.HasPrefix(name, ours):
			return nil, fmt.Errorf("%q: %w", name, errOurName)
		case name == "" || strings.ContainsAny(name, "=\x00"):
			return nil, fmt.Errorf("%q: %w", name, errNoName)
		case strings.Contains(env[name], "\x00"):
			return nil, fmt.Errorf("%q: %w", name, errNUL)
		}
		if aside(name) {
			out[carrier+name] = env[name]
		} else {
			out[name] = env[name]
		}
	}
	return out, nil
}
