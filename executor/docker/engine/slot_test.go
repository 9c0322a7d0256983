package engine

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/moby/client"

	"envrole/executor/docker"
	"envrole/internal/dockertest"
	"envrole/roles/fault"
)

// ofProject is a job of a project that other jobs of this test are of too.
func ofProject(tb testing.TB, d *dockertest.Daemon, change func(*docker.Plan)) *Engine {
	tb.Helper()
	return &Engine{plan: plan(tb, d, func(p *docker.Plan) {
		name := strings.ReplaceAll(strings.ToLower(tb.Name()), "/", "-")
		p.BuildsVolume, p.CacheVolume = "builds-"+name, "cache-"+name
		if change != nil {
			change(p)
		}
	})}
}

func TestJobsAtOnceHaveBuildsOfTheirOwn(t *testing.T) {
	d := engineFor(t)
	const n = 6
	engines := make([]*Engine, n)
	var wg sync.WaitGroup
	for i := range n {
		engines[i] = ofProject(t, d, nil)
		wg.Go(func() {
			if err := engines[i].Prepare(t.Context(), io.Discard); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var slots []string
	for i, e := range engines {
		slots = append(slots, e.slot)
		out := must(t, e, "build_script", fmt.Sprintf("ls /builds | wc -l; touch /builds/%d /cache/%d", i, i))
		if out != "0\n" {
			t.Errorf("job %d in %s: %q", i, e.slot, out)
		}
		if err := e.Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
			t.Error(err)
		}
	}
	slices.Sort(slots)
	if want := []string{"-0", "-1", "-2", "-3", "-4", "-5"}; !slices.Equal(slots, want) {
		t.Errorf("%q", slots)
	}
	// The next one finds what the job before it in its volume left, and all caches.
	next, _ := preparedPlan(t, ofProject(t, d, nil).plan)
	if out := must(t, next, "build_script", "ls /builds | wc -l; ls /cache | wc -l"); next.slot != "-0" || out != fmt.Sprintf("1\n%d\n", n) {
		t.Errorf("%s: %q", next.slot, out)
	}
}

// A container that may still write there keeps its volume from other jobs,
// whatever is removed: a service too.
func TestNumbersAreFreeOnlyWhenTheLastContainerIsGone(t *testing.T) {
	d := engineFor(t)
	e, _ := preparedPlan(t, ofProject(t, d, func(p *docker.Plan) {
		p.Services = []docker.Container{{Name: fullImage, Pull: []string{"never"}, Entrypoint: []string{"sleep", "1000"}, Aliases: []string{"s"}}}
	}).plan)
	if seen := get(t, d, "/containers/"+e.plan.ContainerName(docker.RoleService, 0)+"/json"); strings.Contains(seen, e.agentDir()) {
		t.Error("the service can know where the job has the agent")
	}
	if out, err := d.Docker(t, "rm", "-f", e.jobContainer(), e.holder(0)); err != nil {
		t.Fatal(out)
	}
	if out, err := d.Docker(t, "volume", "rm", e.agentVolume()); err == nil {
		t.Fatalf("the Engine removed it while a service has the builds: %s", out)
	}
	next, _ := preparedPlan(t, ofProject(t, d, nil).plan)
	if next.slot != "-1" {
		t.Error(next.slot)
	}
}

// A sweep may take a job for dead whose prepare goes on: its runner was killed.
// By then its number may be another job's.
func TestAJobTakenForDeadGetsNoContainerInAnothersBuilds(t *testing.T) {
	d := engineFor(t)
	late := ofProject(t, d, nil)
	a, err := late.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	if err := late.takeSlot(t.Context(), a, image{}); err != nil {
		t.Fatal(err)
	}
	sweep := docker.Plan{Engine: d.Address, Host: late.plan.Host}
	if err := Sweep(t.Context(), sweep, func(string) bool { return false }, io.Discard); err != nil {
		t.Fatal(err)
	}
	other, _ := preparedPlan(t, ofProject(t, d, nil).plan)
	if other.slot != late.slot {
		t.Fatalf("this test tests nothing: %s, %s", other.slot, late.slot)
	}
	err = a.create(t.Context(), late.jobOptions(fullImage))
	if fault.ClassOf(err) != fault.Passing || !strings.Contains(err.Error(), "another job's") {
		t.Errorf("%v", err)
	}
	if err := late.Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
		t.Error(err)
	}
	must(t, other, "build_script", "true")
	// One whose volume was removed, and nobody took it, has it again.
	if err := other.Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = late.Cleanup(t.Context(), io.Discard, io.Discard) })
	late.plan.Network = "none"
	options := late.jobOptions(fullImage)
	options.HostConfig.NetworkMode = "none"
	if err := a.create(t.Context(), options); err != nil {
		t.Error(err)
	}
	if got, err := a.VolumeInspect(t.Context(), late.agentVolume(), client.VolumeInspectOptions{}); err != nil || got.Volume.Labels[docker.LabelJob] != late.plan.Mark {
		t.Errorf("%v %v", err, got.Volume.Labels)
	}
}
