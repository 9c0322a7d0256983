package engine

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"envrole/executor/docker"
	"envrole/internal/dockertest"
)

// ask tries an address over HTTP, by every means an image may have.
const askMetadata = `got=$(timeout 3 wget -qO- http://$1/ 2>/dev/null); echo "$1 ${got:-nothing}"`

// asks are the tries, in one script.
func asks(addresses ...string) string {
	var b strings.Builder
	for _, a := range addresses {
		b.WriteString("set -- " + a + "\n" + askMetadata + "\n")
	}
	return b.String()
}

const busyImage = "busybox:latest" // its wget needs no library

func inSh(p *docker.Plan) {
	p.Image.Name, p.Shell = busyImage, "sh"
}

func serveMetadata(t *testing.T, d *dockertest.Daemon, address string) {
	t.Helper()
	host := address
	if strings.Contains(address, ":") {
		d.AddAddress(t, address+"/128")
		host = "[" + address + "]"
	} else {
		d.AddAddress(t, address+"/32")
	}
	l := d.Listen(t, host+":80")
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "STOLEN") })}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
}

// The metadata services answer beside the Engine, as on a cloud host. No
// container of a job reaches them; with metadata = "allow" all do, so this test
// can fail.
func TestNoContainerReachesTheMetadataServices(t *testing.T) {
	d := dockertest.Own(t)
	d.Import(t, busyImage, dockertest.Busybox())
	web := `i=0; while [ $i -lt 3 ]; do for a in 169.254.169.254 169.254.170.2 169.254.170.23; do echo "$a $(timeout 3 wget -qO- http://$a/ 2>/dev/null)"; done; i=$((i+1)); done; echo asked; exec sleep 1000`
	addresses := []string{"169.254.169.254", "169.254.170.2", "169.254.170.23"}
	for _, a := range addresses {
		serveMetadata(t, d, a)
	}
	for _, c := range []struct{ metadata, want string }{{docker.MetadataBlock, "nothing"}, {docker.MetadataAllow, "STOLEN"}} {
		e, _ := prepared(t, d, func(p *docker.Plan) {
			inSh(p)
			p.Metadata = c.metadata
			p.Helper = &docker.Container{Name: busyImage, Pull: []string{"never"}}
			p.Services = []docker.Container{{Name: busyImage, Pull: []string{"never"}, Aliases: []string{"web"}, Entrypoint: []string{"sh", "-c"}, Command: []string{web}}}
		})
		want := ""
		for _, a := range addresses {
			want += a + " " + c.want + "\n"
		}
		for _, subStage := range []string{"build_script", "get_sources"} {
			if got := must(t, e, subStage, asks(addresses...)); got != want {
				t.Errorf("%s, %s: %q", c.metadata, subStage, got)
			}
		}
		service := e.plan.ContainerName(docker.RoleService, 0)
		until(t, "the service has asked", func() bool {
			out, err := d.Docker(t, "logs", service)
			return err == nil && strings.Contains(out, "asked")
		})
		out, _ := d.Docker(t, "logs", service)
		if strings.Contains(out, "STOLEN") != (c.want == "STOLEN") {
			t.Errorf("%s, service: %q", c.metadata, out)
		}
	}
}

// Somebody on the job's own network answers at such an address: a container of
// another job, or of a network whose addresses lie there.
func TestANeighbourCannotPlayTheMetadataService(t *testing.T) {
	d := dockertest.Own(t)
	d.Import(t, busyImage, dockertest.Busybox())
	run := func(args ...string) {
		t.Helper()
		if out, err := d.Docker(t, args...); err != nil {
			t.Fatal(out)
		}
	}
	run("network", "create", "--subnet", "169.254.169.0/24", "one")
	run("network", "create", "--ipv6", "--subnet", "fd00:ec2::/64", "six")
	for _, c := range []struct{ network, flag, bad, good string }{
		{"one", "--ip", "169.254.169.254", "169.254.169.77"},
		{"six", "--ip6", "[fd00:ec2::254]", "[fd00:ec2::77]"},
	} {
		for i, address := range []string{c.bad, c.good} {
			if address != "" {
				run("run", "-d", "--network", c.network, c.flag, strings.Trim(address, "[]"), "--name", c.network+string(rune('a'+i)), busyImage,
					"sh", "-c", "mkdir /w; echo STOLEN >/w/index.html; exec httpd -f -p 80 -h /w")
			}
		}
		for _, metadata := range []string{docker.MetadataBlock, docker.MetadataAllow} {
			e, _ := prepared(t, d, func(p *docker.Plan) { inSh(p); p.Network, p.Metadata = c.network, metadata })
			want := c.bad + " STOLEN\n"
			if metadata == docker.MetadataBlock {
				want = c.bad + " nothing\n"
			}
			if got := must(t, e, "build_script", asks(c.bad)); got != want {
				t.Errorf("%s: %q, want %q", metadata, got, want)
			}
			if c.good != "" { // the network itself works
				if got := must(t, e, "build_script", asks(c.good)); got != c.good+" STOLEN\n" {
					t.Errorf("%s: %q", metadata, got)
				}
			}
		}
	}
}

// Where the block does not stand, no container of the job starts.
func TestANetworkThatDefeatsTheBlockIsRefused(t *testing.T) {
	d := dockertest.Own(t)
	d.Import(t, busyImage, dockertest.Busybox())
	if out, err := d.Docker(t, "network", "create", "--subnet", "169.254.170.0/29", "two"); err != nil {
		t.Fatal(out)
	}
	e := &Engine{plan: plan(t, d, func(p *docker.Plan) { inSh(p); p.Network = "two" })}
	var out safeBuffer
	err := e.Prepare(t.Context(), &out)
	if err == nil || !strings.Contains(err.Error(), "does not follow it") {
		t.Errorf("%v", err)
	}
	if out, _ := d.Docker(t, "ps", "-a", "--format", "{{.Names}}"); strings.Contains(out, "-job") {
		t.Error(out)
	}
	_ = e.Cleanup(t.Context(), &out, &out)
}

// The rights by which the block could be undone are in no container of the job.
func TestAJobCannotUndoTheBlock(t *testing.T) {
	d := dockertest.Start(t)
	d.Import(t, busyImage, dockertest.Busybox())
	e, _ := prepared(t, d, func(p *docker.Plan) { inSh(p); p.Helper = &docker.Container{Name: busyImage, Pull: []string{"never"}} })
	for _, subStage := range []string{"build_script", "get_sources"} {
		out := must(t, e, subStage, `ip route del prohibit 169.254.169.254 2>/dev/null && echo DELETED
ip route add 169.254.169.254 dev eth0 2>/dev/null && echo ADDED
unshare -n true 2>/dev/null && echo UNSHARED
caps=$(grep CapBnd /proc/self/status | tr -dc 0-9a-f | tail -c 8)
[ $(( 0x$caps & 0x3000 )) = 0 ] || echo "CAPS $caps"
ip route show table all | grep -c prohibit`)
		if strings.TrimSpace(out) != "7" {
			t.Errorf("%s: %q", subStage, out)
		}
	}
}
