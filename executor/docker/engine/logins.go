package engine

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/types/registry"

	"envrole/roles/fault"
)

// logins are the registry credentials of a job by where they count: a registry,
// or a registry and the beginning of a path. They are read, sent to the Engine
// with the pull that needs them, and kept nowhere.
type logins map[string]registry.AuthConfig

// String keeps credentials out of a careless print.
func (l logins) String() string { return fmt.Sprintf("[%d logins, redacted]", len(l)) }

// GoString likewise.
func (l logins) GoString() string { return l.String() }

const (
	maxPayload   = 64 << 20
	authVariable = "DOCKER_AUTH_CONFIG"
	hub          = "docker.io"
)

// payload is what Prepare needs of the job's payload. It is read before any code
// of the job runs.
type payload struct {
	logins  logins // GitLab's own for its registries, and those of DOCKER_AUTH_CONFIG, which win
	uploads bool   // the job has a cache or artifacts
}

// String keeps the logins out of a careless print.
func (p payload) String() string { return p.logins.String() }

// GoString likewise.
func (p payload) GoString() string { return p.String() }

func readPayload(path string) (payload, error) {
	got := payload{logins: logins{}}
	if path == "" {
		return got, nil
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxPayload {
		err = errors.New("it is too large")
	}
	var raw []byte
	if err == nil {
		raw, err = os.ReadFile(path)
	}
	if err != nil {
		return got, fault.New(fault.Internal, "read", "the job's payload", err, "")
	}
	var fields struct {
		Credentials                    []struct{ Type, URL, Username, Password string }
		Variables                      []struct{ Key, Value string }
		Cache, Artifacts, Dependencies []json.RawMessage
	}
	if json.Unmarshal(raw, &fields) != nil { // the cause may quote
		return got, fault.New(fault.Internal, "read", "the job's payload", errors.New("it is not the JSON that the runner writes"), "")
	}
	got.uploads = len(fields.Cache)+len(fields.Artifacts)+len(fields.Dependencies) > 0
	for _, c := range fields.Credentials {
		if c.Type == "registry" && c.Password != "" {
			got.logins[scope(c.URL)] = registry.AuthConfig{Username: c.Username, Password: c.Password, ServerAddress: c.URL}
		}
	}
	for _, v := range fields.Variables {
		if v.Key == authVariable {
			got.logins.add(v.Value)
		}
	}
	return got, nil
}

// add takes the logins of a Docker configuration file. One that cannot be read
// is the author's own affair: the pull says what is missing.
func (l logins) add(config string) {
	var file struct {
		Auths map[string]struct{ Auth, Username, Password, IdentityToken string }
	}
	if json.Unmarshal([]byte(config), &file) != nil {
		return
	}
	for where, a := range file.Auths {
		login := registry.AuthConfig{Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, ServerAddress: where}
		if plain, err := base64.StdEncoding.DecodeString(a.Auth); err == nil && a.Auth != "" {
			login.Username, login.Password, _ = strings.Cut(strings.TrimRight(string(plain), "\x00"), ":")
		}
		l[scope(where)] = login
	}
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
