package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"envrole/executor/docker"
	"envrole/internal/dockertest"
)

// talker is a service that writes 30 MB, and then waits.
func talker(p *docker.Plan) {
	p.Services = []docker.Container{{
		Name: fullImage, Pull: []string{"never"}, Aliases: []string{"s"},
		Entrypoint: []string{"sh", "-c", "head -c 30000000 /dev/zero | tr '\\0' 'x' | fold -w 1000; echo; echo written; touch /builds/written; sleep 1000"},
	}}
}

func TestAServiceDoesNotFillTheDiskWithItsOutput(t *testing.T) {
	for _, driver := range []string{"json-file", "local"} {
		d := dockertest.Own(t, "--log-driver", driver)
		d.Import(t, fullImage, dockertest.Full())
		e, _ := prepared(t, d, talker)
		must(t, e, "build_script", "until [ -e /builds/written ]; do sleep 0.1; done")
		until(t, "all is in the Engine's log", func() bool {
			out, err := d.Docker(t, "logs", "--tail", "1", e.plan.ContainerName(docker.RoleService, 0))
			return err == nil && strings.Contains(out, "written")
		})
		var kept int64
		err := filepath.Walk(filepath.Join(d.Dir, "data", "containers"), func(_ string, info os.FileInfo, err error) error {
			if err == nil && !info.IsDir() {
				kept += info.Size()
			}
			return err
		})
		if err != nil || kept > 15e6 || kept < 1000 {
			t.Errorf("%s: %d bytes are kept: %v", driver, kept, err)
		}
	}
}

// A daemon that keeps nothing, or sends it elsewhere, knows no such bound.
func TestAnotherLogDriverStays(t *testing.T) {
	d := dockertest.Own(t, "--log-driver", "none")
	d.Import(t, fullImage, dockertest.Full())
	e, _ := prepared(t, d, nil)
	must(t, e, "build_script", "true")
	got := get(t, d, "/containers/"+e.jobContainer()+"/json")
	if !strings.Contains(got, `"LogConfig":{"Type":"none"`) {
		t.Error(got)
	}
}
