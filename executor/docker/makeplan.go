package docker

// This file makes a job's plan of the configuration and of what the job's YAML
// asks for.

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"envrole/executor"
	"envrole/executor/job"
	"envrole/roles/fault"
	"envrole/roles/settings/schema"
)

// maker makes one job's plan.
type maker struct {
	v     schema.Values
	scope scope
}

// makePlan settles how a job runs. notes are for its log. It reads the payload
// and asks the Engine nothing.
func makePlan(j executor.Job, environ func(string) (string, bool)) (p Plan, notes []string, err error) {
	if j.LeaseID == "" || j.ProjectID <= 0 || j.StateDir == "" {
		return Plan{}, nil, fmt.Errorf("plan docker job: lease %t, project id %d, state directory %t: all must be known", j.LeaseID != "", j.ProjectID, j.StateDir != "")
	}
	for _, name := range j.PassEnv {
		if why := refusedName(name); why != "" {
			return Plan{}, nil, fault.New(fault.Permanent, "check", "executor.pass_env", fmt.Errorf("%s: %s", job.Quote(name), why),
				"Remove the name from pass_env; a job that needs the value gets it as a CI/CD variable.")
		}
	}
	wanted, notes, err := readWanted(j, environ)
	if err != nil {
		return Plan{}, nil, err
	}
	p = bare(j)
	p.JobID, p.ProjectID, p.RefProtected, p.PayloadFile = j.JobID, j.ProjectID, j.RefProtected, j.PayloadFile
	p.PassEnv, p.AuthFile = j.PassEnv, j.Values.Text(keyAuth)
	p.Image, p.Services = wanted.image, wanted.services
	if helper := j.Values.Text(keyHelper); helper != "" {
		ref, err := ParseReference(helper)
		if err != nil {
			return Plan{}, nil, fault.New(fault.Permanent, "check", "executor.docker."+keyHelper, err, "")
		}
		p.Helper = &Container{Name: ref.Name(), Pull: pullDefault(j.Values)}
	}
	p.BuildsVolume = volumeName("builds", p.Host, p.ProjectID, p.RefProtected)
	p.CacheVolume = volumeName("cache", p.Host, p.ProjectID, p.RefProtected)
	limits(&p, j.Values)
	return p, notes, nil
}

// bare is the plan of a job of which only its lease is known: enough to find
// and remove what it left.
func bare(j executor.Job) Plan {
	v := j.Values
	return Plan{
		Engine: v.Text(keyHost), TLSCA: v.Text(keyTLSCA), TLSCert: v.Text(keyTLSCert), TLSKey: v.Text(keyTLSKey),
		LeaseID: j.LeaseID, Mark: Mark(j.LeaseID), Host: HostID(j.StateDir),
		Shell: v.Text(keyShell), BuildsDir: v.Text(keyBuilds), CacheDir: v.Text(keyCache),
		Network: v.Text(keyNetwork), Metadata: v.Text(keyMetadata),
		Grace: v.Duration(keyGrace), ServiceWait: v.Duration(keyWait), Timeout: v.Duration(keyTimeout), PullTimeout: v.Duration(keyPullTime),
	}
}

// limits fills in what is the same for every job.
func limits(p *Plan, v schema.Values) {
	p.Volumes, p.DNS, p.ExtraHosts = v.Texts(keyVolumes), v.Texts(keyDNS), v.Texts(keyHosts)
	p.Memory, _ = parseSize(v.Text(keyMemory))
	p.ShmSize, _ = parseSize(v.Text(keyShm))
	p.NanoCPUs, _ = parseCPUs(v.Text(keyCPUs))
	p.PidsLimit = v.Number(keyPids)
	for _, c := range v.Texts(keyCapAdd) {
		p.CapAdd = append(p.CapAdd, capability(c))
	}
	for _, c := range v.Texts(keyCapDrop) {
		p.CapDrop = append(p.CapDrop, capability(c))
	}
	p.SecurityOpt, p.Privileged, p.ReadOnly = v.Texts(keySecurity), v.Flag(keyPriv), v.Flag(keyReadOnly)
}

// wanted is what a job's YAML asks for, expanded and checked.
type wanted struct {
	image    Container
	services []Container
}

func readWanted(j executor.Job, environ func(string) (string, bool)) (w wanted, notes []string, err error) {
	c, err := job.ReadContainers(j.PayloadFile)
	if err != nil {
		return w, nil, err
	}
	if err := c.UnsupportedError(); err != nil {
		return w, nil, err
	}
	m := &maker{v: j.Values, scope: newScope(c.Variables, environ)}
	if w.image, err = m.image(c.Image); err != nil {
		return w, nil, err
	}
	w.services, notes, err = m.services(c.Services)
	if m.scope.get("CI_DEBUG_SERVICES") == "true" {
		notes = append(notes, "CI_DEBUG_SERVICES is not known to this executor: what services print is not in this log, unless one does not start.")
	}
	return w, notes, err
}

// image settles the job's own container.
func (m *maker) image(want job.Image) (Container, error) {
	allowed := m.v.Texts(keyImages)
	fallback := m.v.Text(keyImage)
	if strings.TrimSpace(want.Name) == "" {
		if fallback == "" {
			return Container{}, refuse("image", errors.New("the job names no image, and there is no executor.docker."+keyImage),
				"Add image: to the job.")
		}
		want.Name = fallback // holds no variables: see checkImage
		allowed = nil
	} else if len(allowed) > 0 && fallback != "" {
		allowed = append(slices.Clone(allowed), fallback) // a name holds nothing that a pattern gives a meaning
	}
	c, _, err := m.container(want, "image", allowed, keyImages)
	if err != nil {
		return Container{}, err
	}
	// The configured user goes first, as in GitLab's own executor.
	if user := m.v.Text(keyUser); user != "" {
		c.User = user
	}
	return c, nil
}

// mayBe refuses a user whom the configuration does not let a job ask for, for
// itself or a service.
func (m *maker) mayBe(user, at string) error {
	fixed, users := m.v.Text(keyUser), m.v.Texts(keyUsers)
	switch {
	case user == "" || user == fixed:
		return nil
	case fixed != "":
		return refuse(at+":docker:user", errors.New("jobs on this runner run as "+fixed+", by executor.docker."+keyUser), "Remove the keyword from the job.")
	case len(users) > 0 && !slices.Contains(users, user):
		return refuse(at+":docker:user", fmt.Errorf("%s is not in executor.docker.%s", m.scope.shown(user), keyUsers),
			"Use one of: "+strings.Join(users, ", ")+".")
	}
	return nil
}

// refusedName says why a variable must not be in pass_env, or "".
func refusedName(name string) string {
	switch {
	case !validEnvName(name) || strings.IndexFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_'
	}) >= 0:
		return "is not the name of a variable"
	case strings.HasPrefix(name, "AWS_ENDPOINT_URL"):
		return "" // where AWS is, not who asks
	case strings.HasPrefix(name, "AWS_"):
		return "AWS variables of the runner never reach a job"
	case strings.HasPrefix(name, "CUSTOM_ENV_"), strings.HasPrefix(name, "ENVROLE_"), strings.HasPrefix(name, "BUILD_"),
		strings.HasPrefix(name, "DOCKER_"), name == "JOB_RESPONSE_FILE", name == "SYSTEM_FAILURE_EXIT_CODE":
		return "is between the runner, its driver and the Engine"
	case strings.HasPrefix(name, "LD_"), strings.HasPrefix(name, "BASH"), name == "ENV", name == "IFS", name == "SHELLOPTS", name == "PS4":
		return "changes what the job's shell runs"
	}
	switch name {
	case "PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TERM":
		return "is the container's own, not this host's"
	}
	return ""
}
