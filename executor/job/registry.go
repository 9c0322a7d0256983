package job

// This file reads the registry credentials of a job. They are read apart from
// everything else, where an image is pulled, and kept nowhere.

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"envrole/executor/job/strictjson"
	"envrole/roles/seal"
)

// RegistryCredential logs in to one registry, or to a path of one.
type RegistryCredential struct {
	URL      string // as it was given: "registry.example.com:5005", "https://index.docker.io/v1/"
	Username string
	Password seal.Secret
	// IdentityToken stands in for a password, where a registry gave one.
	IdentityToken seal.Secret
}

// authVariable is the variable in which authors give credentials for
// registries, in the form of docker's config.json.
const authVariable = "DOCKER_AUTH_CONFIG"

// RegistrySources is where registry credentials of a job come from.
type RegistrySources struct {
	Payload string // the file that JOB_RESPONSE_FILE names
	// Runner is DOCKER_AUTH_CONFIG as the runner has it: it counts for a job
	// whose payload has none, as one of [[runners]] environment does.
	Runner string
	// Admin is the text of the administrator's file, in the same form; "" is
	// none. AdminName is how notes call it.
	Admin, AdminName string
}

// ReadRegistryCredentials reads the job's registry credentials: those of
// DOCKER_AUTH_CONFIG first, then the administrator's, then GitLab's own. Of two
// for one registry the first counts. notes says, for the job's log, what was not
// used; neither it nor an error repeats a value.
func ReadRegistryCredentials(from RegistrySources) (creds []RegistryCredential, notes []string, err error) {
	top, r, err := open(from.Payload)
	if err != nil {
		return nil, nil, err
	}
	own := from.Runner
	for _, v := range slices.Backward(r.containerVariables(top, "variables")) {
		if v.Key == authVariable {
			own = v.Value.Reveal()
			break
		}
	}
	for _, config := range []struct{ name, text string }{{authVariable, own}, {from.AdminName, from.Admin}} {
		if config.text != "" {
			c, n := authConfig(config.name, config.text)
			creds, notes = append(creds, c...), append(notes, n...)
		}
	}
	for _, element := range r.array(top, "credentials") {
		o, err := element.Object()
		if err != nil {
			r.fail("credentials", err)
			break
		}
		if r.text(o, "type") == "registry" {
			creds = append(creds, RegistryCredential{URL: r.text(o, "url"), Username: r.text(o, "username"), Password: seal.NewSecret(r.rawText(o, "password"))})
		}
	}
	if r.err != nil {
		return nil, nil, malformed(r.err)
	}
	return creds, notes, nil
}

// authConfig reads the auths of a docker configuration. Its credential helpers
// are programs that would run on this host by the author's word: never used.
func authConfig(name, text string) (creds []RegistryCredential, notes []string) {
	note := func(format string, args ...any) {
		notes = append(notes, name+": "+fmt.Sprintf(format, args...))
	}
	top, err := strictjson.Value(text).Object()
	if err != nil {
		note("%v: not used", err)
		return nil, notes
	}
	for _, key := range []string{"credHelpers", "credsStore"} {
		if !empty(top[key]) {
			note("%s is not used: it would run a program on the runner's host", key)
		}
	}
	r := &reader{}
	auths := r.object(top, "auths")
	for _, url := range slices.Sorted(maps.Keys(auths)) {
		o := r.object(auths, url)
		user, password := r.rawText(o, "username"), r.rawText(o, "password")
		if auth := r.rawText(o, "auth"); auth != "" {
			plain, err := base64.StdEncoding.DecodeString(auth)
			name, pass, ok := strings.Cut(string(plain), ":")
			if err != nil || !ok {
				note("auth of %s is not base64 of user:password: not used", Quote(url))
				continue
			}
			user, password = name, strings.TrimRight(pass, "\x00")
		}
		identity := r.rawText(o, "identitytoken")
		if (user == "" || password == "") && identity == "" {
			note("%s has no user and password: not used", Quote(url))
			continue
		}
		creds = append(creds, RegistryCredential{URL: url, Username: user, Password: seal.NewSecret(password), IdentityToken: seal.NewSecret(identity)})
	}
	if r.err != nil {
		note("%v", r.err)
	}
	return creds, notes
}
