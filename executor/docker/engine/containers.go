package engine

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"envrole/executor/docker"
	"envrole/executor/docker/agent"
)

// holderPids and holderMemory are enough for the agent and what the Engine starts
// beside it.
const (
	holderPids   = 64
	holderMemory = 64 << 20
)

// holderOptions describe the container that owns a network namespace. Until all
// stands it has the capability that the block needs, and the job's holder that to
// open volumes which are another user's; then none.
func (e *Engine) holderOptions(n int, agentImage string, hosts []string) client.ContainerCreateOptions {
	pids := int64(holderPids)
	command := []string{agent.Flag, "hold"}
	host := &container.HostConfig{
		NetworkMode:    container.NetworkMode(e.network()),
		CapDrop:        []string{"ALL"},
		SecurityOpt:    []string{"no-new-privileges"},
		ReadonlyRootfs: true,
		RestartPolicy:  container.RestartPolicy{Name: container.RestartPolicyDisabled},
		Resources:      container.Resources{PidsLimit: &pids, Memory: holderMemory},
		ExtraHosts:     append(slices.Clone(e.plan.ExtraHosts), hosts...),
	}
	for _, server := range e.plan.DNS {
		if addr, err := netip.ParseAddr(server); err == nil { // the plan has checked it
			host.DNS = append(host.DNS, addr)
		}
	}
	if e.blocks() {
		command = append(command, agent.BlockArg)
		host.CapAdd = append(host.CapAdd, "NET_ADMIN")
	}
	config := &container.Config{Image: agentImage, Entrypoint: []string{agent.Path}, Labels: e.plan.Labels(roleHolder)}
	options := client.ContainerCreateOptions{Config: config, HostConfig: host, Name: e.holder(n)}
	if n == 0 {
		host.CapAdd = append(host.CapAdd, "FOWNER")
		host.Mounts = append([]mount.Mount{e.agentMount(agent.Dir)}, e.volumeMounts()...)
		host.Mounts[0].VolumeOptions.NoCopy = false // this image fills it
		for _, m := range host.Mounts[1:] {
			command = append(command, agent.OpenArg+m.Target)
		}
		if e.plan.Network != "host" {
			config.Hostname = fmt.Sprintf("job-%d", e.plan.JobID)
		}
	}
	if e.plan.Network == "" { // one that other jobs use as well gets no names of this job
		options.NetworkingConfig = &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
			e.network(): {Aliases: e.aliases(n)},
		}}
	}
	config.Cmd = command
	return options
}

// jobAlias is how services call the job, as under GitLab's own executor.
const jobAlias = "build"

// aliases are the names of holder n on the job's network.
func (e *Engine) aliases(n int) []string {
	if n > 0 {
		return e.plan.Services[n-1].Aliases
	}
	for _, c := range e.plan.Services {
		if slices.ContainsFunc(c.Aliases, func(s string) bool { return strings.EqualFold(s, jobAlias) }) {
			return nil // the author has given the name away
		}
	}
	return []string{jobAlias}
}

// network is the one that holders join.
func (e *Engine) network() string {
	if e.plan.Network != "" {
		return e.plan.Network
	}
	return e.plan.NetworkName()
}

func (e *Engine) blocks() bool { return e.plan.Metadata != docker.MetadataAllow }

// jobOptions describe the container of the author's own scripts. An entrypoint
// is started with idle as its arguments, as the runner starts it with a shell;
// it may prepare the container and must then run them.
func (e *Engine) jobOptions(image string) client.ContainerCreateOptions {
	c := e.plan.Image
	host := e.host(0)
	host.Mounts = append([]mount.Mount{e.agentMount(e.agentDir())}, host.Mounts...)
	host.Binds = e.binds()
	host.Privileged = e.plan.Privileged
	if e.plan.ReadOnly {
		host.ReadonlyRootfs = true
		host.Tmpfs = map[string]string{"/tmp": "rw,exec,nosuid,nodev,mode=1777"}
	}
	return client.ContainerCreateOptions{
		Name: e.jobContainer(), HostConfig: host, Platform: platform(c.Platform),
		Config: &container.Config{
			Image: image, Entrypoint: c.Entrypoint, Cmd: []string{e.agentPath(), agent.Flag, "idle"}, User: c.User,
			Labels: e.plan.Labels(docker.RoleJob), Healthcheck: &container.HealthConfig{Test: []string{"NONE"}}, StopSignal: "SIGTERM",
		},
	}
}

// helperOptions describe the container of the other sub-stages. It is root's,
// so that it can work on files of any user, and never privileged.
func (e *Engine) helperOptions(image string) client.ContainerCreateOptions {
	c := e.plan.Helper
	host := e.host(0)
	host.Mounts = append([]mount.Mount{e.agentMount(e.agentDir())}, host.Mounts...)
	user, entrypoint, command := c.User, c.Entrypoint, []string{e.agentPath(), agent.Flag, "idle"}
	if user == "" {
		user = "0:0"
	}
	if len(entrypoint) == 0 {
		entrypoint, command = command[:1], command[1:]
	}
	return client.ContainerCreateOptions{
		Name: e.helperContainer(), HostConfig: host, Platform: platform(c.Platform),
		Config: &container.Config{
			Image: image, Entrypoint: entrypoint, Cmd: command, User: user, Labels: e.plan.Labels(docker.RoleHelper),
			Healthcheck: &container.HealthConfig{Test: []string{"NONE"}}, StopSignal: "SIGTERM",
		},
	}
}

// serviceOptions describe the container of service i. The agent is in it only
// because its volume says whose builds these are, and not where the job has it:
// that a service must not learn, which could lead another mount there.
func (e *Engine) serviceOptions(i int, image string) client.ContainerCreateOptions {
	c := e.plan.Services[i]
	host := e.host(i + 1)
	host.Mounts = append([]mount.Mount{e.agentMount(agent.Dir)}, host.Mounts...)
	host.Privileged = e.plan.Privileged
	var env []string
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		env = append(env, name+"="+c.Env[name])
	}
	return client.ContainerCreateOptions{
		Name: e.plan.ContainerName(docker.RoleService, i), HostConfig: host, Platform: platform(c.Platform),
		Config: &container.Config{
			Image: image, Entrypoint: c.Entrypoint, Cmd: c.Command, User: c.User, Env: env, Labels: e.plan.Labels(docker.RoleService),
		},
	}
}

// host is what containers of images have in common: limits, rights, volumes and
// the network of holder n. What jobs may write to outside of their project is for
// the job's container alone: the helper runs hooks of the author as root, and a
// service is whoever its image says, whatever user the configuration names.
func (e *Engine) host(n int) *container.HostConfig {
	p := e.plan
	host := &container.HostConfig{
		NetworkMode:   container.NetworkMode("container:" + e.holder(n)),
		CapAdd:        p.CapAdd,
		CapDrop:       slices.Clone(p.CapDrop),
		SecurityOpt:   p.SecurityOpt,
		ShmSize:       p.ShmSize,
		RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		Resources:     container.Resources{Memory: p.Memory, NanoCPUs: p.NanoCPUs},
		Mounts:        e.volumeMounts(),
		Binds:         slices.DeleteFunc(e.binds(), writable),
	}
	if p.PidsLimit > 0 {
		host.PidsLimit = &p.PidsLimit
	}
	// A packet socket asks no route: with it the metadata services could be
	// reached past the block.
	if e.blocks() && !slices.ContainsFunc(p.CapAdd, isCapability("NET_RAW")) {
		host.CapDrop = append(host.CapDrop, "NET_RAW")
	}
	return host
}

func isCapability(name string) func(string) bool {
	return func(s string) bool {
		s = strings.TrimPrefix(strings.ToUpper(s), "CAP_")
		return s == name || s == "ALL"
	}
}

// volumeMounts are the volumes of the project and of the job. They begin empty,
// whatever an image has in their place.
func (e *Engine) volumeMounts() []mount.Mount {
	var mounts []mount.Mount
	if e.plan.BuildsVolume != "" {
		mounts = append(mounts, named(e.buildsVolume(), e.plan.BuildsDir, e.plan.VolumeLabels(docker.RoleBuilds)))
	}
	if e.plan.CacheVolume != "" {
		mounts = append(mounts, named(e.cacheVolume(), e.plan.CacheDir, e.plan.VolumeLabels(docker.RoleCache)))
	}
	for i, v := range e.plan.Volumes {
		if anonymous(v) {
			mounts = append(mounts, named(e.ownVolume(i), v, e.plan.Labels(roleVolume)))
		}
	}
	return mounts
}

// ownVolume is the volume for the i-th entry of the configuration, which names
// none: the job's containers share it, and it ends with the job.
func (e *Engine) ownVolume(i int) string { return fmt.Sprintf("%s-%d", e.volume(roleVolume), i) }

func anonymous(volume string) bool { return !strings.Contains(volume, ":") }

// binds are the volumes that the configuration takes from elsewhere.
func (e *Engine) binds() []string {
	var binds []string
	for _, v := range e.plan.Volumes {
		if !anonymous(v) {
			binds = append(binds, v)
		}
	}
	return binds
}

// writable says whether a volume of the configuration is one that jobs may write
// to. Its source and target hold no colon.
func writable(bind string) bool {
	parts := strings.Split(bind, ":")
	return len(parts) < 3 || !slices.Contains(strings.Split(parts[2], ","), "ro")
}
