package docker

// This file settles the services of a job: their images, the names they answer
// to, and what is in their environment.

import (
	"errors"
	"fmt"
	"strings"

	"envrole/executor/job"
	"envrole/roles/fault"
	"envrole/roles/settings/schema"
)

// maxServices bounds what one job can start beside itself. Nobody needs as many;
// each is a container or two with a process.
const maxServices = 50

// services makes the plan's services. notes are for the job's log.
func (m *maker) services(wanted []job.Image) (out []Container, notes []string, err error) {
	if len(wanted) > maxServices {
		return nil, nil, refuse("services", fmt.Errorf("%d are more than %d", len(wanted), maxServices), "")
	}
	taken := map[string]bool{}
	for i, want := range wanted {
		at := fmt.Sprintf("services[%d]", i)
		c, ref, err := m.container(want, at, m.v.Texts(keyServices), keyServices)
		if err != nil {
			return nil, nil, err
		}
		aliases, err := m.aliases(want, ref, at)
		if err != nil {
			return nil, nil, err
		}
		for _, alias := range aliases {
			// Names are looked up without regard to case.
			if key := strings.ToLower(alias); !taken[key] {
				taken[key] = true
				c.Aliases = append(c.Aliases, alias)
			} else {
				notes = append(notes, fmt.Sprintf("%s: another service is called %s already; this one is not.", at, job.Quote(alias)))
			}
		}
		if len(c.Aliases) == 0 {
			notes = append(notes, at+" is not started: no name is left for it. Give it an alias.")
			continue
		}
		c.Command = want.Command
		if c.Env, err = m.serviceEnv(want, at); err != nil {
			return nil, nil, err
		}
		out = append(out, c)
	}
	return out, notes, nil
}

// aliases are the names of a service: two that are made of its image's name, as
// GitLab has it (tutum/wordpress: tutum__wordpress and tutum-wordpress), then
// those that the job gives.
func (m *maker) aliases(want job.Image, ref Reference, at string) ([]string, error) {
	name := ref.written
	if host, rest, ok := strings.Cut(name, "/"); ok {
		host, _, _ = cutPort(host)
		name = host + "/" + rest
	}
	var out []string
	add := func(alias string) {
		for _, have := range out {
			if strings.EqualFold(have, alias) {
				return
			}
		}
		out = append(out, alias)
	}
	for _, between := range []string{"__", "-"} {
		if alias := strings.ReplaceAll(name, "/", between); validAlias(alias) {
			add(alias)
		}
	}
	given, err := m.scope.text(want.Alias)
	if err != nil {
		return nil, refuse(at+":alias", err, "")
	}
	for alias := range strings.FieldsSeq(strings.ReplaceAll(given, ",", " ")) {
		if !validAlias(alias) {
			return nil, refuse(at+":alias", errors.New(m.scope.shown(alias)+" is no host name"),
				"Use letters, digits, dashes and dots.")
		}
		add(alias)
	}
	return out, nil
}

// serviceEnv is what a service has in its environment, as under GitLab's own
// docker executor: the job's public variables, and the service's own. Nothing
// of a session is in either.
func (m *maker) serviceEnv(want job.Image, at string) (map[string]string, error) {
	env := map[string]string{}
	for _, v := range m.scope.vars {
		if !v.Public || !validEnvName(v.Key) {
			continue
		}
		value := v.Value.Reveal()
		if v.File {
			value = m.scope.get(v.Key)
		} else if !v.Raw {
			var err error
			if value, err = expand(value, m.scope.unexpanded, maxVariable); err != nil {
				return nil, refuse(at+":variables", fmt.Errorf("the job's variable %s %w", job.Quote(v.Key), err), tooLongHelp)
			}
		}
		env[v.Key] = value
	}
	own := scope{vars: want.Variables, lookup: func(string) (string, bool) { return "", false }}
	get := func(name string) string {
		for _, v := range want.Variables {
			if v.Key == name {
				value, _ := own.payload(name)
				return value
			}
		}
		return m.scope.get(name)
	}
	for _, v := range want.Variables {
		if !validEnvName(v.Key) {
			return nil, refuse(at+":variables", errors.New(job.Quote(v.Key)+" is no name of a variable"), "")
		}
		value := v.Value.Reveal()
		if !v.Raw {
			var err error
			if value, err = expand(value, get, maxVariable); err != nil {
				return nil, refuse(at+":variables", fmt.Errorf("%s %w", job.Quote(v.Key), err), tooLongHelp)
			}
		}
		env[v.Key] = value
	}
	for key, value := range env {
		if len(key)+1+len(value) > maxVariable || strings.Contains(value, "\x00") {
			return nil, refuse(at+":variables", fmt.Errorf("%s is too long, or holds a zero byte", job.Quote(key)), tooLongHelp)
		}
	}
	return env, nil
}

const tooLongHelp = "A variable of a container has at most 128 KiB."

func validEnvName(s string) bool { return s != "" && !strings.ContainsAny(s, "=\x00") }

// container settles one image: name, user, platform, pull policy.
func (m *maker) container(want job.Image, at string, allowed []string, key string) (Container, Reference, error) {
	name, err := m.scope.text(want.Name)
	if err != nil {
		return Container{}, Reference{}, refuse(at, err, "")
	}
	ref, err := ParseReference(name)
	if err != nil {
		return Container{}, ref, refuse(at, fmt.Errorf("%s is no image: %w", m.scope.shown(name), err),
			"Write an image as in registry.example.com/group/project:tag. A variable that is not set expands to nothing.")
	}
	if !Allowed(ref, allowed) {
		return Container{}, ref, refuse(at, fmt.Errorf("%s is not in executor.docker.%s", m.scope.shown(name), key),
			"Use one of: "+strings.Join(allowed, ", ")+".")
	}
	c := Container{Name: ref.Name(), Entrypoint: want.Entrypoint}
	if err := m.options(&c, want, at); err != nil {
		return Container{}, ref, err
	}
	return c, ref, nil
}

// options settles what a job may say of an image beside its name.
func (m *maker) options(c *Container, want job.Image, at string) error {
	for _, text := range append(append([]string(nil), want.Entrypoint...), want.Command...) {
		if strings.Contains(text, "\x00") || len(text) > maxVariable {
			return refuse(at, errors.New("entrypoint or command is too long, or holds a zero byte"), "")
		}
	}
	platform, err := m.scope.text(want.Platform)
	if err == nil && !validPlatform(platform) {
		err = errors.New(m.scope.shown(platform) + " is no platform")
	}
	if err != nil {
		return refuse(at+":docker:platform", err, `Write "linux/amd64" or "linux/arm64/v8", for example.`)
	}
	c.Platform = platform
	user, err := m.scope.text(want.User)
	if err == nil && user != "" {
		if why := checkUser(user); why != "" {
			err = errors.New(m.scope.shown(user) + " " + why)
		}
	}
	if err != nil {
		return refuse(at+":docker:user", err, "")
	}
	if err := m.mayBe(user, at); err != nil {
		return err
	}
	c.User = user
	pull := pullDefault(m.v)
	if len(want.Pull) > 0 {
		pull = want.Pull
	}
	for _, policy := range pull {
		if why := checkPull(policy); why != "" {
			return refuse(at+":pull_policy", errors.New(job.Quote(policy)+" "+why), "")
		}
	}
	if c.Pull = intersect(pull, allowedPulls(m.v)); len(c.Pull) == 0 {
		return refuse(at+":pull_policy", fmt.Errorf("%s is not in executor.docker.%s", strings.Join(pull, ", "), keyPulls),
			"Use one of: "+strings.Join(allowedPulls(m.v), ", ")+".")
	}
	return nil
}

// allowedPulls are the policies that a job may ask for: without a list, those
// that it would get anyway. always is the only one by which the registry is
// asked whether this job may have the image.
func allowedPulls(v schema.Values) []string {
	if list := v.Texts(keyPulls); len(list) > 0 {
		return list
	}
	return pullDefault(v)
}

func validPlatform(s string) bool {
	if len(s) > 64 {
		return false
	}
	return strings.IndexFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("/_.-", c)
	}) < 0
}

// refuse is a refusal of what a job's YAML asks for.
func refuse(keyword string, err error, help string) error {
	return fault.New(fault.Refused, "run the job in containers with", keyword, err, help)
}
