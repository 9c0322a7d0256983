package engine

import (
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"envrole/executor/docker"
	"envrole/internal/dockertest"
)

// bound prints some capabilities of a container by their bits in CapBnd.
const bound = `caps=$(grep CapBnd /proc/self/status | tr -dc 0-9a-f | tail -c 16)
has() { [ $(( (0x$caps >> $1) & 1 )) = 1 ] && echo "$2"; return 0; }
has 0 CHOWN; has 12 NET_ADMIN; has 13 NET_RAW; has 21 SYS_ADMIN; has 23 SYS_NICE
[ -c /dev/kmsg ] && echo devices of the host
echo .
`

func TestCapabilitiesAreThoseOfTheConfiguration(t *testing.T) {
	d := dockertest.Start(t)
	d.Import(t, busyImage, dockertest.Busybox())
	for name, c := range map[string]struct {
		change       func(*docker.Plan)
		job, helper  string
		warningOfJob bool
	}{
		"nothing given": {func(*docker.Plan) {}, "CHOWN\n.\n", "CHOWN\n.\n", false},
		"added":         {func(p *docker.Plan) { p.CapAdd = []string{"SYS_NICE"} }, "CHOWN\nSYS_NICE\n.\n", "CHOWN\nSYS_NICE\n.\n", false},
		"both":          {func(p *docker.Plan) { p.CapAdd, p.CapDrop = []string{"SYS_NICE"}, []string{"ALL"} }, "SYS_NICE\n.\n", "SYS_NICE\n.\n", false},
		"NET_RAW added": {func(p *docker.Plan) { p.CapAdd = []string{"NET_RAW"} }, "CHOWN\nNET_RAW\n.\n", "CHOWN\nNET_RAW\n.\n", true},
	} {
		e, log := prepared(t, d, func(p *docker.Plan) {
			inSh(p)
			p.Helper = &docker.Container{Name: busyImage, Pull: []string{"never"}}
			c.change(p)
		})
		if got := must(t, e, "build_script", bound); got != c.job {
			t.Errorf("%s, job: %q", name, got)
		}
		if got := must(t, e, "get_sources", bound); got != c.helper {
			t.Errorf("%s, helper: %q", name, got)
		}
		if strings.Contains(log, "can undo the block") != c.warningOfJob {
			t.Errorf("%s: %q", name, log)
		}
	}
}

// Containers ask the servers of the configuration: by the Engine's own resolver
// on a network of the job's own, straight away on the Engine's bridge.
func TestTheServersOfTheConfigurationAreAsked(t *testing.T) {
	d := dockertest.Start(t)
	d.Import(t, busyImage, dockertest.Busybox())
	for network, want := range map[string]string{"": "nameserver 127.0.0.11\n", "bridge": "nameserver 192.0.2.53\nnameserver 192.0.2.54\n"} {
		e, _ := prepared(t, d, func(p *docker.Plan) {
			inSh(p)
			p.Network, p.DNS = network, []string{"192.0.2.53", "192.0.2.54"}
			p.Services = []docker.Container{{Name: busyImage, Pull: []string{"never"}, Aliases: []string{"x"}, Entrypoint: []string{"sleep"}, Command: []string{"1000"}}}
		})
		if got := must(t, e, "build_script", "grep ^nameserver /etc/resolv.conf"); got != want {
			t.Errorf("network %q: %q", network, got)
		}
		for n := range 2 {
			got := decode[struct{ HostConfig struct{ DNS []string } }](t, get(t, d, "/containers/"+e.holder(n)+"/json")).HostConfig.DNS
			if strings.Join(got, " ") != "192.0.2.53 192.0.2.54" {
				t.Errorf("network %q, holder %d: %q", network, n, got)
			}
		}
	}
}

// privileged is for the job and its services, and never for what EnvRole itself
// puts beside them. The Engine may have no such rights to give (in a virtual
// machine without SYS_RESOURCE, for one); what it was asked for, it says.
func TestOnlyTheJobAndItsServicesArePrivileged(t *testing.T) {
	d := dockertest.Own(t)
	d.Import(t, busyImage, dockertest.Busybox())
	for _, privileged := range []bool{true, false} {
		e := &Engine{plan: plan(t, d, func(p *docker.Plan) { inSh(p); p.Privileged = privileged })}
		e.plan.Helper = &docker.Container{Name: busyImage}
		e.plan.Services = []docker.Container{{Name: busyImage, Aliases: []string{"x"}, Command: []string{"true"}}}
		a, err := e.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = a.Close() }()
		if err := a.ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := e.ensureNetwork(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			options client.ContainerCreateOptions
			want    bool
		}{
			{e.holderOptions(0, busyImage, nil), false},
			{e.holderOptions(1, busyImage, nil), false},
			{e.helperOptions(busyImage), false},
			{e.jobOptions(busyImage), privileged},
			{e.serviceOptions(0, busyImage), privileged},
		} {
			if err := a.create(t.Context(), c.options); err != nil {
				t.Fatal(err)
			}
			got := decode[struct{ HostConfig struct{ Privileged bool } }](t, get(t, d, "/containers/"+c.options.Name+"/json")).HostConfig.Privileged
			if got != c.want {
				t.Errorf("privileged = %t, %s: %t", privileged, c.options.Name, got)
			}
		}
		if err := e.Cleanup(t.Context(), &safeBuffer{}, &safeBuffer{}); err != nil {
			t.Error(err)
		}
	}
}
