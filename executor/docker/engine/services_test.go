package engine

import (
	"maps"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"envrole/executor/docker"
	"envrole/internal/dockertest"
)

// web is a service that says word on port 80.
func web(word string, aliases ...string) docker.Container {
	return docker.Container{
		Name: "web:latest", Pull: []string{"never"}, Aliases: aliases, Env: map[string]string{"WORD": word},
		Entrypoint: []string{"sh", "-c"}, Command: []string{`mkdir /w; echo "$WORD" >/w/index.html; exec httpd -f -p 80 -h /w`},
	}
}

func serviceImages(t *testing.T) *dockertest.Daemon {
	t.Helper()
	d := dockertest.Start(t)
	d.Import(t, busyImage, dockertest.Busybox())
	d.Import(t, "web:latest", dockertest.Busybox().With("EXPOSE 80"))
	return d
}

const fetchBoth = `for a in one other two; do echo "$a $(timeout 5 wget -qO- http://$a/)"; done`

func TestServicesAnswerByTheirAliasesOnTheSamePort(t *testing.T) {
	d := serviceImages(t)
	if out, err := d.Docker(t, "network", "create", "chosen"); err != nil {
		t.Fatal(out)
	}
	t.Cleanup(func() { _, _ = d.Docker(t, "network", "rm", "chosen") })
	for _, network := range []string{"", "chosen", "bridge"} {
		e, log := prepared(t, d, func(p *docker.Plan) {
			inSh(p)
			p.Network = network
			p.Services = []docker.Container{web("first", "one", "other"), web("second", "two")}
			p.Helper = &docker.Container{Name: busyImage, Pull: []string{"never"}}
		})
		for _, subStage := range []string{"build_script", "get_sources"} {
			if out := must(t, e, subStage, fetchBoth); out != "one first\nother first\ntwo second\n" {
				t.Errorf("network %q: %q", network, out)
			}
		}
		if strings.Contains(log, "warning: service") {
			t.Errorf("network %q: %q", network, log)
		}
	}
}

// A service may call the job, unless another service has its name.
func TestAServiceReachesTheJobByItsName(t *testing.T) {
	d := serviceImages(t)
	caller := web("", "caller")
	caller.Command = []string{`mkdir /w; until wget -qO /w/index.html http://build:8000/; do sleep 0.1; done; exec httpd -f -p 80 -h /w`}
	serve := `mkdir -p /tmp/w; echo "$WORD" >/tmp/w/index.html; httpd -p 8000 -h /tmp/w
for i in $(seq 200); do wget -qO- http://caller/ 2>/dev/null && break; sleep 0.1; done`
	e, _ := prepared(t, d, func(p *docker.Plan) { inSh(p); p.Services, p.ServiceWait = []docker.Container{caller}, 0 })
	if out := must(t, e, "build_script", serve, "WORD=of the job"); out != "of the job\n" {
		t.Errorf("%q", out)
	}
	named := web("of the service", "Build")
	named.Command[0] = strings.Replace(named.Command[0], "-p 80", "-p 8000", 1)
	e, _ = prepared(t, d, func(p *docker.Plan) { inSh(p); p.Services, p.ServiceWait = []docker.Container{caller, named}, 0 })
	if out := must(t, e, "build_script", serve, "WORD=of the job"); out != "of the service\n" {
		t.Errorf("%q", out)
	}
}

// Jobs on a network of their own, with the same aliases, do not meet.
func TestServicesOfTwoJobsDoNotMeet(t *testing.T) {
	d := serviceImages(t)
	a, _ := prepared(t, d, func(p *docker.Plan) { inSh(p); p.Services = []docker.Container{web("a", "db")} })
	b, _ := prepared(t, d, func(p *docker.Plan) { inSh(p); p.Services = []docker.Container{web("b", "db")} })
	for range 3 {
		if out := must(t, a, "build_script", "wget -qO- http://db/") + must(t, b, "build_script", "wget -qO- http://db/"); out != "a\nb\n" {
			t.Errorf("%q", out)
		}
	}
}

func TestAServiceThatDoesNotAnswerIsShown(t *testing.T) {
	d := serviceImages(t)
	silent := docker.Container{Name: "web:latest", Pull: []string{"never"}, Entrypoint: []string{"sh", "-c"}, Command: []string{"echo I am deaf; exec sleep 1000"}}
	dead := docker.Container{Name: "web:latest", Pull: []string{"never"}, Entrypoint: []string{"sh", "-c"}, Command: []string{"echo I will die; sleep 0.3; exit 3"}}
	began := time.Now()
	e, log := prepared(t, d, func(p *docker.Plan) { inSh(p); p.Services, p.ServiceWait = []docker.Container{dead}, time.Minute })
	for _, want := range []string{"warning: service web:latest", "exit code 3", "I will die"} {
		if !strings.Contains(log, want) {
			t.Errorf("dead: no %q in %q", want, log)
		}
	}
	if time.Since(began) > 50*time.Second {
		t.Error("a dead service was waited for")
	}
	if out := must(t, e, "build_script", "echo goes on"); out != "goes on\n" {
		t.Error(out)
	}
	_, log = prepared(t, d, func(p *docker.Plan) { inSh(p); p.Services, p.ServiceWait = []docker.Container{silent}, time.Second })
	for _, want := range []string{"warning: service web:latest", "no answer within 1s", "I am deaf"} {
		if !strings.Contains(log, want) {
			t.Errorf("silent: no %q in %q", want, log)
		}
	}
}

// A service may be told from its variables which port says that it is ready.
func TestAServiceSaysWhichPortIsWaitedFor(t *testing.T) {
	d := serviceImages(t)
	late := web("late", "late")
	late.Command = []string{`mkdir /w; echo "$WORD" >/w/index.html; exec httpd -f -p 81 -h /w`}
	late.Env["HEALTHCHECK_TCP_PORT"] = "81"
	e, log := prepared(t, d, func(p *docker.Plan) { inSh(p); p.Services = []docker.Container{late} })
	if strings.Contains(log, "warning: service") {
		t.Errorf("%q", log)
	}
	if out := must(t, e, "build_script", "wget -qO- http://late:81/"); out != "late\n" {
		t.Errorf("%q", out)
	}
}

// An image chooses how many ports it names, and each is a connection tried.
func TestThePortsThatAreWaitedForAreBounded(t *testing.T) {
	d := serviceImages(t)
	var expose []string
	for port := 80; port < 180; port++ {
		expose = append(expose, "EXPOSE "+strconv.Itoa(port))
	}
	d.Import(t, "ports:latest", dockertest.Busybox().With(expose...))
	many := web("many", "many")
	many.Name = "ports:latest"
	e, log := prepared(t, d, func(p *docker.Plan) { inSh(p); p.Services = []docker.Container{many} })
	if strings.Contains(log, "warning: service") || !strings.Contains(log, "the lowest 16 of 100") {
		t.Errorf("%q", log)
	}
	for n := range 2 {
		if limit := memoryLimit(t, d, e.holder(n)); limit <= 0 || limit > 64<<20 {
			t.Errorf("holder %d may take %d bytes", n, limit)
		}
	}
}

// A holder has room for the agent and one more process, not for one of each of
// fifty services.
func TestNoHolderWaitsForMoreThanOneService(t *testing.T) {
	d := serviceImages(t)
	e, log := prepared(t, d, func(p *docker.Plan) {
		inSh(p)
		p.Services = []docker.Container{web("a", "a"), web("b", "b"), web("c", "c")}
	})
	if strings.Contains(log, "warning: service") {
		t.Errorf("%q", log)
	}
	filters := url.QueryEscape(`{"type":["container"],"event":["exec_start"],"label":["` + docker.LabelJob + "=" + e.plan.Mark + `"]}`)
	waits := map[string]int{}
	for line := range strings.Lines(get(t, d, "/events?since=0&until="+strconv.FormatInt(time.Now().Unix()+1, 10)+"&filters="+filters)) {
		event := decode[struct {
			Action string
			Actor  struct{ Attributes struct{ Name string } }
		}](t, line)
		if strings.Contains(event.Action, " wait ") {
			waits[event.Actor.Attributes.Name]++
		}
	}
	if want := map[string]int{e.holder(1): 1, e.holder(2): 1, e.holder(3): 1}; !maps.Equal(waits, want) {
		t.Errorf("%v", waits)
	}
}

func memoryLimit(t *testing.T, d *dockertest.Daemon, container string) int64 {
	t.Helper()
	return decode[struct{ HostConfig struct{ Memory int64 } }](t, get(t, d, "/containers/"+container+"/json")).HostConfig.Memory
}

func TestReadyPorts(t *testing.T) {
	exposed := []string{"8080", "443", "80", "x", "1-65535", "0", "70000"}
	for _, c := range []struct {
		env   map[string]string
		want  string
		notes int
	}{
		{nil, "80 443 8080", 0},
		{map[string]string{"HEALTHCHECK_TCP_PORT": "9000"}, "9000", 0},
		{map[string]string{"healthcheck_tcp_port": "9000"}, "9000", 0}, // as the runner reads it
		{map[string]string{"HEALTHCHECK_TCP_PORT": "0"}, "80 443 8080", 1},
		{map[string]string{"HEALTHCHECK_TCP_PORT": "ninety"}, "80 443 8080", 1},
	} {
		got, notes := readyPorts(docker.Container{Env: c.env}, image{ports: exposed})
		if strings.Join(got, " ") != c.want || len(notes) != c.notes {
			t.Errorf("%v: %v %v", c.env, got, notes)
		}
	}
}
