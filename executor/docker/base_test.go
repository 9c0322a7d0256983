package docker

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"envrole/executor"
	"envrole/roles/fault"
)

func TestJobsThatReachTheirHostGetNoRole(t *testing.T) {
	dir := t.TempDir() // below /tmp, where payloads lie
	state := "/srv/envrole-state"
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/run", link); err != nil {
		t.Fatal(err)
	}
	authority := []string{"/srv/conf/envrole.toml", "/opt/envrole/bin/envrole"}
	for _, c := range []struct {
		v     values
		wants string // "" lends
	}{
		{values{}, ""},
		{values{keyMetadata: MetadataAllow}, ""}, // said at load
		{values{keyCapAdd: []string{"SYS_NICE"}}, ""},
		{values{keyCapAdd: []string{"net_raw"}}, "cap_add"},
		{values{keyCapAdd: []string{"net_raw"}, keyMetadata: MetadataAllow}, ""},
		{values{keyVolumes: []string{"/srv/cache:/x", "data:/data", "/scratch", "/etc/ssl/certs:/etc/ssl/certs:ro", "/usr/share/ca:/ca:ro"}}, ""},
		{values{keyPriv: true}, "privileged"},
		{values{keyCapAdd: []string{"ALL"}}, "cap_add"},
		{values{keyCapAdd: []string{"cap_sys_admin"}}, "cap_add"},
		{values{keyCapAdd: []string{"NET_ADMIN"}}, "cap_add"},
		{values{keyCapAdd: []string{"SYS_PTRACE"}}, "cap_add"},
		{values{keyCapAdd: []string{"SYS_MODULE"}}, "cap_add"},
		{values{keyCapAdd: []string{"DAC_READ_SEARCH"}}, "cap_add"},
		{values{keyNetwork: "host", keyMetadata: MetadataAllow}, "network"},
		{values{keyVolumes: []string{"/var/run/docker.sock:/x"}}, "volumes"},
		{values{keyVolumes: []string{"/run:/x:ro"}}, "volumes"},
		{values{keyVolumes: []string{"/var:/x:ro"}}, "volumes"},
		{values{keyVolumes: []string{"/:/host:ro"}}, "volumes"},
		{values{keyVolumes: []string{link + ":/x:ro"}}, "volumes"},
		{values{keyVolumes: []string{"/tmp:/tmp"}}, "volumes"},
		{values{keyVolumes: []string{"/etc:/x"}}, "volumes"},
		{values{keyVolumes: []string{"/etc/ssl:/x"}}, "volumes"},
		{values{keyVolumes: []string{"/etc:/x:ro"}}, "volumes"},
		{values{keyVolumes: []string{"/usr/local/bin:/x"}}, "volumes"},
		{values{keyVolumes: []string{state + ":/x:ro"}}, "volumes"},
		{values{keyVolumes: []string{state + "/leases:/x:ro"}}, "volumes"},
		// A unit's Environment= or EnvironmentFile= may hold the runner's AWS keys.
		{values{keyVolumes: []string{"/etc/default:/x:ro"}}, "volumes"},
		{values{keyVolumes: []string{"/etc/systemd:/x:ro"}}, "volumes"},
		{values{keyVolumes: []string{"/etc/docker/daemon.json:/x:ro"}}, "volumes"},
		{values{keyVolumes: []string{"/etc/ssl/private:/x:ro"}}, "volumes"},
		{values{keyVolumes: []string{"/etc/ssl:/x:ro"}}, "volumes"},
		{values{keyVolumes: []string{"/etc/ssl/certs:/x"}}, "volumes"}, // others may not be fooled by what a job writes there
		{values{keyVolumes: []string{"/etc/localtime:/etc/localtime:ro"}}, ""},
		// Keys of people and of programs that are nobody's of EnvRole: an agent of AWS keeps some below /var/lib.
		{values{keyVolumes: []string{"/home/alice:/x:ro"}}, "volumes"},
		{values{keyVolumes: []string{"/var/lib/amazon:/x:ro"}}, "volumes"},
		{values{keyVolumes: []string{"/var/log/app:/x:ro"}}, "volumes"},
		{values{keyVolumes: []string{"/var/cache/ci:/x"}}, ""},
		{values{keyVolumes: []string{"/opt/tool:/x"}}, "volumes"}, // root may run what a job puts there
		{values{keyVolumes: []string{"/opt/tool:/x:ro"}}, ""},
		{values{keyVolumes: []string{"/srv:/x:ro"}}, "volumes"},
		{values{keyVolumes: []string{"/srv/conf:/x"}}, "volumes"},
		{values{keyVolumes: []string{"/opt:/x"}}, "volumes"},
		{values{keyVolumes: []string{"/srv/engine:/x:ro"}, keyHost: "unix:///srv/engine/e.s"}, "volumes"},
		{values{keyVolumes: []string{"/srv/confusion:/x"}}, ""}, // not below /srv/conf
		{values{keyPriv: true, keyTrust: trusted}, ""},
	} {
		j := executor.Job{StateDir: state, Values: c.v}
		err := New(Engine{}).MayLend(context.Background(), j, nil, authority)
		if c.wants == "" && err != nil || c.wants != "" && (err == nil || fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), "executor.docker."+c.wants) || !strings.Contains(fault.HelpOf(err), keyTrust)) {
			t.Errorf("%v: %v", c.v, err)
		}
	}
}

func TestTheConfigStageRefusesWhatTheJobMayNotHave(t *testing.T) {
	b := New(Engine{})
	b.environ = environ()
	var log strings.Builder
	a, err := b.Announce(context.Background(), jobOf(t, `"image":{"name":"a"},"services":[{"name":"r:1"},{"name":"r:2"}],"variables":[{"key":"CI_DEBUG_SERVICES","value":"true"}]`, values{keyShell: "sh"}), &log)
	if err != nil || a.Driver != "docker" || a.BuildsDir != "/builds" || a.CacheDir != "/cache" || a.Shell != "sh" || a.BuildsDirIsShared == nil || *a.BuildsDirIsShared {
		t.Errorf("%v, %+v", err, a)
	}
	if !strings.Contains(log.String(), "services[1] is not started") || !strings.Contains(log.String(), "CI_DEBUG_SERVICES") {
		t.Error(log.String())
	}
	for members, want := range map[string]string{
		`"image":{"name":"a","ports":[{"number":1}]}`: "image:ports",
		`"image":{"name":"evil"}`:                     "allowed_images",
		`"services":[{"name":"x"}]`:                   "names no image",
	} {
		if _, err := b.Announce(context.Background(), jobOf(t, members, values{keyImages: []string{"a"}}), io.Discard); err == nil || fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", members, err)
		}
	}
}

type fakeExecutor struct {
	executor.Executor
	plan Plan
}

func TestPlansComeBackAsTheyWereMade(t *testing.T) {
	b := New(Engine{Open: func(p Plan) executor.Executor { return fakeExecutor{plan: p} }})
	b.environ = environ()
	j := jobOf(t, `"image":{"name":"a"},"services":[{"name":"r","variables":[{"key":"A","value":"b"}]}],"credentials":[{"type":"registry","url":"r","username":"u","password":"hunter2"}],"variables":[{"key":"S","value":"s3cr3t"}]`, values{})
	raw, err := b.Plan(context.Background(), j)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", "s3cr3t", token} {
		if strings.Contains(string(raw), secret) {
			t.Errorf("the plan holds %s", secret)
		}
	}
	e, err := b.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	if p := e.(fakeExecutor).plan; text(p) != string(raw) || p.Services[0].Env["A"] != "b" {
		t.Errorf("%s\n%s", text(p), raw)
	}
	lost, err := b.Lost(executor.Job{LeaseID: j.LeaseID, StateDir: j.StateDir, Values: j.Values})
	if err != nil {
		t.Fatal(err)
	}
	var p Plan
	if err := json.Unmarshal(raw, &p); err != nil {
		t.Fatal(err)
	}
	if l := lost.(fakeExecutor).plan; l.Engine != p.Engine || l.Mark != p.Mark || l.Host != p.Host || l.Timeout != p.Timeout || l.NetworkName() != p.NetworkName() {
		t.Errorf("%+v", l)
	}
	if _, err := b.Open(json.RawMessage(`{"engine":1}`)); err == nil {
		t.Error("a broken plan is opened")
	}
}

func TestProgramsWithoutTheEngineSaySo(t *testing.T) {
	b := New(Engine{})
	_, open := b.Open(json.RawMessage("{}"))
	_, lost := b.Lost(executor.Job{Values: values{}})
	if !errors.Is(open, executor.ErrElsewhere) || !errors.Is(lost, executor.ErrElsewhere) || !errors.Is(b.Sweep(context.Background(), executor.Job{}, nil, io.Discard), executor.ErrElsewhere) {
		t.Error(open, lost)
	}
}

func TestNamesInTheEngineTellNothing(t *testing.T) {
	j := jobOf(t, `"image":{"name":"a"}`, values{})
	p, _, err := makePlan(j, environ())
	if err != nil {
		t.Fatal(err)
	}
	other := p
	other.Mark = Mark("another")
	seen := map[string]bool{}
	for _, p := range []Plan{p, other} {
		for _, name := range []string{p.ContainerName(RoleJob, 0), p.ContainerName(RoleHelper, 0), p.ContainerName(RoleService, 0), p.ContainerName(RoleService, 1), p.NetworkName()} {
			if seen[name] || !strings.HasPrefix(name, "envrole-") || strings.Contains(name, p.LeaseID) {
				t.Error(name)
			}
			seen[name] = true
		}
	}
	l := p.Labels(RoleJob)
	if l[LabelHost] != p.Host || l[LabelJob] != p.Mark || l[LabelLease] != p.LeaseID || l[LabelRole] != RoleJob || l[LabelJobID] != "77" {
		t.Error(l)
	}
	if v := p.VolumeLabels(RoleBuilds); v[LabelJob] != "" || v[LabelLease] != "" {
		t.Error("a volume of the project would be removed with a job:", v)
	}
	if again := HostID("/a"); again == HostID("/b") || again != HostID("/a") {
		t.Error("host")
	}
}
