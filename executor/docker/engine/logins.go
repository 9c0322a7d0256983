package engine

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/registry"

	"envrole/executor/job"
	"envrole/roles/fault"
	"envrole/roles/settings"
)

// logins are the registry credentials of a job by where they count: a registry,
// or a registry and the beginning of a path. They are read, sent to the Engine
// with the pull that needs them, and kept nowhere.
type logins map[string]registry.AuthConfig

// String keeps credentials out of a careless print.
func (l logins) String() string { return fmt.Sprintf("[%d logins, redacted]", len(l)) }

// GoString likewise.
func (l logins) GoString() string { return l.String() }

const hub = "docker.io"

// payload is what Prepare needs of the job's payload. It is read before any code
// of the job runs.
type payload struct {
	logins  logins   // GitLab's own for its registries, the administrator's, which win, and those of DOCKER_AUTH_CONFIG, which win over both
	uploads bool     // the job has a cache or artifacts
	notes   []string // what of DOCKER_AUTH_CONFIG is not used
}

// String keeps the logins out of a careless print.
func (p payload) String() string { return p.logins.String() }

// GoString likewise.
func (p payload) GoString() string { return p.String() }

func readPayload(path, authFile string) (payload, error) {
	got := payload{logins: logins{}}
	if path == "" {
		return got, nil
	}
	wanted, err := job.ReadContainers(path)
	if err != nil {
		return got, err
	}
	from := job.RegistrySources{Payload: path, Runner: os.Getenv("CUSTOM_ENV_DOCKER_AUTH_CONFIG"), AdminName: "executor.docker.auth_file"}
	if from.Admin, err = adminAuth(authFile); err != nil {
		return got, err
	}
	credentials, notes, err := job.ReadRegistryCredentials(from)
	if err != nil {
		return got, err
	}
	got.uploads, got.notes = wanted.Transfers, notes
	for _, c := range slices.Backward(credentials) { // the first counts
		got.logins[scope(c.URL)] = registry.AuthConfig{
			Username: c.Username, Password: c.Password.Reveal(), IdentityToken: c.IdentityToken.Reveal(), ServerAddress: c.URL,
		}
	}
	return got, nil
}

// maxAuth is more than logins need.
const maxAuth = 1 << 20

// adminAuth reads the administrator's logins. Nobody else may have written them:
// a login for a registry is shown to whom the file names.
func adminAuth(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	f, err := settings.OpenTrusted(path)
	if err != nil {
		return "", fault.New(fault.Permanent, "read logins from", path, err, "See executor.docker.auth_file: the runner's user must be able to read it, and nobody but that user and root to write it.")
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAuth))
	if err != nil {
		return "", fault.New(fault.Passing, "read logins from", path, err, "")
	}
	return string(b), nil
}

// scope is the registry and path that a login is for, as image names have it.
func scope(where string) string {
	for _, scheme := range []string{"https://", "http://"} {
		where = strings.TrimPrefix(where, scheme)
	}
	where = strings.TrimRight(where, "/")
	where = strings.TrimSuffix(strings.TrimSuffix(where, "/v1"), "/v2")
	switch where {
	case "index.docker.io", "registry-1.docker.io":
		return hub
	}
	return strings.ToLower(where)
}

// of is the login for an image and what is secret in it, "" if there is none.
// The longest scope that holds the image counts.
func (l logins) of(name string) (registry.AuthConfig, string) {
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return registry.AuthConfig{}, ""
	}
	best, at := registry.AuthConfig{}, ""
	for where, login := range l {
		if (ref.Name() == where || strings.HasPrefix(ref.Name(), where+"/")) && len(where) > len(at) {
			best, at = login, where
		}
	}
	secret := best.Password
	if secret == "" {
		secret = best.IdentityToken
	}
	return best, secret
}

// registryOf is the registry of an image.
func registryOf(name string) string {
	ref, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return reference.Domain(ref)
}
