package engine

import (
	"strings"
	"testing"

	"envrole/executor/docker"
	"envrole/internal/dockertest"
	"envrole/roles/fault"
)

// The helper is root's; the job's image runs as another user and works in what
// the helper fetched.
func TestAnImageOfAnotherUserWritesIntoTheHelpersCheckout(t *testing.T) {
	d := engineFor(t)
	e, _ := prepared(t, d, func(p *docker.Plan) {
		p.Image.Name = ciImage
		p.Helper = &docker.Container{Name: fullImage, Pull: []string{"never"}}
		p.Volumes = []string{"/scratch"}
	})
	must(t, e, "get_sources", `id -u; mkdir -p /builds/acme/shop /cache/x && cd /builds/acme/shop && git init -q && echo one >file && mkdir dir && umask`)
	out := must(t, e, "build_script", `id -u; cd /builds/acme/shop && echo two >>file && echo three >dir/new && rm file && touch /cache/x/y /scratch/z /builds/top && umask && echo written`)
	if out != "1000\n0022\nwritten\n" {
		t.Errorf("%q", out)
	}
	if out := must(t, e, "archive_cache", "ls /builds/acme/shop/dir /cache/x /scratch"); !strings.Contains(out, "new") || !strings.Contains(out, "z") {
		t.Errorf("the helper does not see it: %q", out)
	}
}

func TestVolumesOutliveTheJobAndAreOfOneKindOfRef(t *testing.T) {
	d := engineFor(t)
	with := func(volume string) func(*docker.Plan) {
		return func(p *docker.Plan) {
			p.BuildsVolume, p.CacheVolume, p.Volumes = volume+"-builds", volume+"-cache", []string{"/own"}
		}
	}
	for _, c := range []struct{ volume, want string }{{"protected", "0"}, {"unprotected", "0"}, {"protected", "1"}} {
		e, _ := prepared(t, d, with(c.volume))
		if out := must(t, e, "build_script", "ls /builds | wc -l; ls /cache | wc -l; ls /own | wc -l; touch /builds/x /cache/x /own/x"); out != c.want+"\n"+c.want+"\n0\n" {
			t.Errorf("%s: %q", c.volume, out)
		}
		if err := e.Cleanup(t.Context(), &safeBuffer{}, &safeBuffer{}); err != nil {
			t.Error(err)
		}
	}
	labels := decode[struct{ Labels map[string]string }](t, get(t, d, "/volumes/protected-builds-0")).Labels
	if labels[docker.LabelProject] != "42" || labels[docker.LabelJob] != "" || labels[docker.LabelHost] == "" {
		t.Errorf("%v", labels)
	}
}

// A script may change whose the volume is, and who may enter it. The next job is
// not stopped by that.
func TestAVolumeThatAScriptClosedIsOpenAgain(t *testing.T) {
	d := engineFor(t)
	with := func(p *docker.Plan) { p.BuildsVolume, p.CacheVolume = "closed-builds", "closed-cache" }
	for _, mode := range []string{"700", "1777", "000"} {
		e, _ := prepared(t, d, with)
		must(t, e, "build_script", "echo kept >/builds/file; chown 1000:1000 /builds /cache; chmod "+mode+" /builds /cache")
		if err := e.Cleanup(t.Context(), &safeBuffer{}, &safeBuffer{}); err != nil {
			t.Error(err)
		}
		e, _ = prepared(t, d, with)
		if out := must(t, e, "build_script", "cat /builds/file; stat -c %a /builds /cache"); out != "kept\n777\n777\n" {
			t.Errorf("%s: %q", mode, out)
		}
		if err := e.Cleanup(t.Context(), &safeBuffer{}, &safeBuffer{}); err != nil {
			t.Error(err)
		}
	}
}

// Somebody's volume under the name of a project's is not given to a job.
func TestAForeignVolumeIsNotUsed(t *testing.T) {
	d := engineFor(t)
	if out, err := d.Docker(t, "volume", "create", "theirs-0"); err != nil {
		t.Fatal(out)
	}
	e := &Engine{plan: plan(t, d, func(p *docker.Plan) { p.BuildsVolume = "theirs" })}
	var out safeBuffer
	err := e.Prepare(t.Context(), &out)
	if fault.ClassOf(err) != fault.Permanent || !strings.Contains(err.Error(), "theirs") {
		t.Errorf("%v", err)
	}
	_ = e.Cleanup(t.Context(), &out, &out)
	if out, _ := d.Docker(t, "volume", "ls", "-q"); !strings.Contains(out, "theirs") {
		t.Error("it was removed")
	}
}

func TestSettingsReachTheContainers(t *testing.T) {
	d := dockertest.Start(t)
	d.Import(t, busyImage, dockertest.Busybox())
	e, _ := prepared(t, d, func(p *docker.Plan) {
		inSh(p)
		p.Image.User = "ci"
		p.ReadOnly, p.PidsLimit, p.NanoCPUs, p.Memory, p.ShmSize = true, 60, 5e8, 256<<20, 1<<20
		p.DNS, p.ExtraHosts, p.CapDrop, p.SecurityOpt = []string{"192.0.2.53"}, []string{"db.example.com:192.0.2.7"}, []string{"ALL"}, []string{"no-new-privileges"}
	})
	out := must(t, e, "build_script", `id -un; touch /x 2>/dev/null || echo read-only; touch /tmp/x /builds/x && echo writable
hostname; grep -c 192.0.2.7 /etc/hosts; grep CapBnd /proc/self/status; grep NoNewPrivs /proc/self/status; df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2`)
	want := "ci\nread-only\nwritable\njob-77\n1\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n1024\n"
	if out != want {
		t.Errorf("%q", out)
	}
	got := decode[struct {
		HostConfig struct {
			Memory, NanoCpus, PidsLimit int64
			Privileged                  bool
		}
	}](t, get(t, d, "/containers/"+e.jobContainer()+"/json")).HostConfig
	if got.Memory != 256<<20 || got.NanoCpus != 5e8 || got.PidsLimit != 60 || got.Privileged {
		t.Errorf("%+v", got)
	}
}

func TestTheHelpersProgramIsBridged(t *testing.T) {
	d := engineFor(t)
	d.Import(t, "helper:latest", dockertest.Full().WithFile("/usr/bin/gitlab-runner-helper", dockertest.File{Mode: 0o755, Content: "#!/bin/sh\necho \"helper of GitLab: $*\"\n"}))
	e, log := prepared(t, d, func(p *docker.Plan) {
		p.Helper = &docker.Container{Name: "helper:latest", Pull: []string{"never"}}
		p.PayloadFile = file(t, `{"cache":[{"key":"x"}]}`)
	})
	if strings.Contains(log, "LOST") {
		t.Errorf("%q", log)
	}
	if out := must(t, e, "archive_cache", "gitlab-runner cache-archiver --file 'a b'"); out != "helper of GitLab: cache-archiver --file a b\n" {
		t.Errorf("%q", out)
	}
	if out := must(t, e, "build_script", "command -v gitlab-runner || echo none"); out != "none\n" {
		t.Errorf("%q", out)
	}
}
