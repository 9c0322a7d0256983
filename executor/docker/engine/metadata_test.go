package engine

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"envrole/executor/docker"
	"envrole/internal/dockertest"
)

const (
	busyImage = "busybox:latest" // its wget needs no library
	curlImage = "curl:latest"    // likewise, and a curl that binds itself to a device
)

// asks tries addresses over HTTP, all at once: as every program does, and by a
// socket that is bound to the network's device, for which the kernel asks no
// capability and no route.
func asks(addresses ...string) string {
	return `rm -f /tmp/ask.*; i=10; for a in ` + strings.Join(addresses, " ") + `; do i=$((i+1)); {
 got=$(timeout 3 wget -qO- http://$a/ 2>/dev/null); echo "$a ${got:-nothing}"
 got=$(curl -sgm 3 --interface 'if!eth0' http://$a/ 2>/dev/null); echo "$a by device ${got:-nothing}"
} >/tmp/ask.$i & done; wait; cat /tmp/ask.*
`
}

// answers is what asks prints if all addresses give the same.
func answers(what string, addresses ...string) string {
	var b strings.Builder
	for _, a := range addresses {
		b.WriteString(a + " " + what + "\n" + a + " by device " + what + "\n")
	}
	return b.String()
}

func inSh(p *docker.Plan) {
	p.Image.Name, p.Shell = busyImage, "sh"
}

func inCurl(p *docker.Plan) {
	inSh(p)
	p.Image.Name = curlImage
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
	d.Import(t, curlImage, dockertest.Busybox().WithProgram("curl"))
	if out, err := d.Docker(t, "network", "create", "--ipv6", "--subnet", "fd00:aaaa::/64", "dual"); err != nil {
		t.Fatal(out)
	}
	addresses := []string{"169.254.169.254", "169.254.170.2", "169.254.170.23"}
	six := []string{"fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254"}
	for _, a := range append(addresses, six...) {
		serveMetadata(t, d, a)
	}
	for _, c := range []struct {
		network, metadata, want string
		asked                   []string
	}{
		{"", docker.MetadataBlock, "nothing", addresses},
		{"", docker.MetadataAllow, "STOLEN", addresses},
		{"dual", docker.MetadataBlock, "nothing", append(bracketed(six), addresses...)},
		{"dual", docker.MetadataAllow, "STOLEN", append(bracketed(six), addresses...)},
	} {
		e, _ := prepared(t, d, func(p *docker.Plan) {
			inCurl(p)
			p.Metadata, p.Network = c.metadata, c.network
			p.Helper = &docker.Container{Name: curlImage, Pull: []string{"never"}}
			p.Services = []docker.Container{{
				Name: curlImage, Pull: []string{"never"}, Aliases: []string{"web"}, Entrypoint: []string{"sh", "-c"},
				Command: []string{asks(c.asked...) + "echo asked; exec sleep 1000"},
			}}
		})
		want := answers(c.want, c.asked...)
		for _, subStage := range []string{"build_script", "get_sources"} {
			if got := must(t, e, subStage, asks(c.asked...)); got != want {
				t.Errorf("network %q, %s, %s: %q", c.network, c.metadata, subStage, got)
			}
		}
		service := e.plan.ContainerName(docker.RoleService, 0)
		until(t, "the service has asked", func() bool {
			out, err := d.Docker(t, "logs", service)
			return err == nil && strings.Contains(out, "asked")
		})
		if got, _ := d.Docker(t, "logs", service); got != want+"asked\n" {
			t.Errorf("network %q, %s, service: %q", c.network, c.metadata, got)
		}
	}
}

func bracketed(addresses []string) (out []string) {
	for _, a := range addresses {
		out = append(out, "["+a+"]")
	}
	return out
}

// Somebody on the job's own network answers at such an address: a container of
// another job, or of a network whose addresses lie there.
func TestANeighbourCannotPlayTheMetadataService(t *testing.T) {
	d := dockertest.Own(t)
	d.Import(t, curlImage, dockertest.Busybox().WithProgram("curl"))
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
			run("run", "-d", "--network", c.network, c.flag, strings.Trim(address, "[]"), "--name", c.network+string(rune('a'+i)), curlImage,
				"sh", "-c", "mkdir /w; echo STOLEN >/w/index.html; exec httpd -f -p 80 -h /w")
		}
		for _, metadata := range []string{docker.MetadataBlock, docker.MetadataAllow} {
			e, _ := prepared(t, d, func(p *docker.Plan) { inCurl(p); p.Network, p.Metadata = c.network, metadata })
			want := answers("STOLEN", c.bad)
			if metadata == docker.MetadataBlock {
				want = answers("nothing", c.bad)
			}
			if got := must(t, e, "build_script", asks(c.bad)); got != want {
				t.Errorf("%s: %q, want %q", metadata, got, want)
			}
			// The network itself works.
			if got := must(t, e, "build_script", asks(c.good)); got != answers("STOLEN", c.good) {
				t.Errorf("%s: %q", metadata, got)
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

// The rights by which the block could be undone, or gone past with a packet
// socket, are in no container of the job.
func TestAJobCannotUndoTheBlock(t *testing.T) {
	d := dockertest.Start(t)
	d.Import(t, busyImage, dockertest.Busybox())
	packets := `arping -c1 -w1 -I eth0 192.0.2.1 2>&1 | grep -c 'not permitted'`
	helper := &docker.Container{Name: busyImage, Pull: []string{"never"}}
	e, _ := prepared(t, d, func(p *docker.Plan) { inSh(p); p.Helper = helper })
	for _, subStage := range []string{"build_script", "get_sources"} {
		out := must(t, e, subStage, packets+`
ip route del prohibit 169.254.169.254 2>/dev/null && echo DELETED
ip route add 169.254.169.254 dev eth0 2>/dev/null && echo ADDED
unshare -n true 2>/dev/null && echo UNSHARED
unshare -Urn true 2>/dev/null && echo UNSHARED
caps=$(grep CapBnd /proc/self/status | tr -dc 0-9a-f | tail -c 8)
[ $(( 0x$caps & 0x3000 )) = 0 ] || echo "CAPS $caps"
ip route show table all | grep -c prohibit`)
		if out != "1\n7\n" {
			t.Errorf("%s: %q", subStage, out)
		}
	}
	// The same look sees a packet socket where one is allowed.
	e, _ = prepared(t, d, func(p *docker.Plan) { inSh(p); p.CapAdd = []string{"NET_RAW"} })
	if out := must(t, e, "build_script", packets+" || :"); out != "0\n" {
		t.Errorf("with NET_RAW: %q", out)
	}
}
