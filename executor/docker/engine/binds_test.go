package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"envrole/executor/docker"
	"envrole/internal/dockertest"
)

// What the configuration takes from elsewhere for jobs to write into is in the
// job's container alone. The helper runs hooks of the author as root, and a
// service is whoever its image says, whatever user the configuration names.
func TestWritableBindsAreTheJobsAlone(t *testing.T) {
	d := dockertest.Own(t)
	d.Import(t, busyImage, dockertest.Busybox())
	shared, fixed := t.TempDir(), t.TempDir()
	for _, dir := range []string{shared, fixed} {
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte("of the host\n"), 0o644); err != nil { // for the user of the container
			t.Fatal(err)
		}
		for at := dir; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
			if err := os.Chmod(at, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	look := `for at in /shared /fixed /named /own; do
 [ -d $at ] || { echo "$at none"; continue; }
 touch $at/by-$WHO 2>/dev/null && echo "$at writable" || echo "$at readable"; done
`
	e, _ := prepared(t, d, func(p *docker.Plan) {
		inSh(p)
		p.Image.User = "1000:1000"
		p.Volumes = []string{shared + ":/shared", fixed + ":/fixed:ro", "named-volume:/named:rw", "/own"}
		p.Helper = &docker.Container{Name: busyImage, Pull: []string{"never"}}
		p.Services = []docker.Container{{
			Name: busyImage, Pull: []string{"never"}, Aliases: []string{"x"}, Env: map[string]string{"WHO": "service"},
			Entrypoint: []string{"sh", "-c"}, Command: []string{look + "echo looked; exec sleep 1000"},
		}}
	})
	const others = "/shared none\n/fixed readable\n/named none\n/own writable\n"
	if got := must(t, e, "get_sources", look, "WHO=helper"); got != others {
		t.Errorf("helper: %q", got)
	}
	service := e.plan.ContainerName(docker.RoleService, 0)
	until(t, "the service has looked", func() bool {
		out, err := d.Docker(t, "logs", service)
		return err == nil && strings.Contains(out, "looked")
	})
	if got, _ := d.Docker(t, "logs", service); got != others+"looked\n" {
		t.Errorf("service: %q", got)
	}
	if got := must(t, e, "build_script", look+"cat /fixed/file; ls /shared", "WHO=job"); got != "/shared writable\n/fixed readable\n/named readable\n/own writable\nof the host\nby-job\nfile\n" {
		t.Errorf("job: %q", got) // a new named volume is root's
	}
}
