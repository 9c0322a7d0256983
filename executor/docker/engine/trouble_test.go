package engine

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"envrole/executor/docker"
	"envrole/internal/dockertest"
	"envrole/roles/fault"
)

// ownedByJobs is what the Engine has of jobs, and whatever has no name that
// somebody gave it.
func ownedByJobs(t *testing.T, d *dockertest.Daemon) []string {
	t.Helper()
	return slices.DeleteFunc(everything(t, d), func(name string) bool {
		kept := strings.HasPrefix(name, "builds-") && !strings.HasSuffix(name, roleAgent) || strings.HasPrefix(name, "cache-")
		return kept || name == "bridge" || name == "host" || name == "none"
	})
}

func TestAFullDiskIsAClearFaultAndLeavesNothing(t *testing.T) {
	d := dockertest.OwnOnSmallDisk(t, "120m")
	d.Import(t, fullImage, dockertest.Full())
	e, _ := preparedPlan(t, ofProject(t, d, nil).plan)
	// What a script fills is its own matter, and it says so itself.
	out, err := script(t, e, "build_script", "cat /dev/zero >/filled")
	if code(err) != 1 || !strings.Contains(out, "No space left on device") {
		t.Errorf("the script: %v %q", err, out)
	}
	next := ofProject(t, d, nil)
	err = next.Prepare(t.Context(), io.Discard)
	if fault.ClassOf(err) != fault.Passing || !strings.Contains(err.Error(), "no space left on device") || !strings.Contains(fault.HelpOf(err), "disk of the Engine at "+d.Address+" is full") {
		t.Errorf("the next job: %v (%v, %q)", err, fault.ClassOf(err), fault.HelpOf(err))
	}
	// A disk may be too full to write down what is removed: then it is said, and
	// the next cleanup, or a sweep, gets on with it.
	for _, e := range []*Engine{next, e, next} {
		if err := e.Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
			t.Logf("cleanup: %v", err)
			if fault.ClassOf(err) != fault.Passing {
				t.Errorf("cleanup: %v", err)
			}
		}
	}
	if left := ownedByJobs(t, d); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	again, _ := preparedPlan(t, ofProject(t, d, nil).plan)
	must(t, again, "build_script", "true")
	if again.slot != "-0" {
		t.Error(again.slot)
	}
}

// Administrators have docker image prune run by a timer: what was there a moment
// ago is pulled anew by the next try.
func TestAnImageThatIsRemovedMeanwhileIsPassing(t *testing.T) {
	d := dockertest.Start(t)
	e := &Engine{plan: plan(t, d, nil)}
	a, err := e.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	options := client.ContainerCreateOptions{Name: e.jobContainer(), Config: &container.Config{Image: "sha256:" + strings.Repeat("0", 64)}, HostConfig: &container.HostConfig{}}
	err = a.create(t.Context(), options)
	if fault.ClassOf(err) != fault.Passing || !strings.Contains(fault.HelpOf(err), "prune") {
		t.Errorf("%v (%v, %q)", err, fault.ClassOf(err), fault.HelpOf(err))
	}
}

func TestAnEngineThatIsStoppedAndStartedAgainLeavesNothing(t *testing.T) {
	d := dockertest.Own(t)
	d.Import(t, fullImage, dockertest.Full())
	e, _ := preparedPlan(t, ofProject(t, d, nil).plan)
	var out safeBuffer
	done := make(chan error, 1)
	path := file(t, "echo begun; setsid sleep 778800 & sleep 778800")
	go func() { done <- runFile(t.Context(), e, "build_script", path, &out) }()
	until(t, "begun", func() bool { return strings.Contains(out.String(), "begun") })
	if err := d.Stop(); err != nil { // as systemctl restart docker does
		t.Fatal(err)
	}
	if err := <-done; fault.ClassOf(err) != fault.Passing || fault.HelpOf(err) == "" {
		t.Errorf("the script: %v (%v, %q)", err, fault.ClassOf(err), fault.HelpOf(err))
	}
	until(t, "its processes have ended", func() bool { return !runs(t, "778800") })
	if err := d.Continue(); err != nil {
		t.Fatalf("%v\n%s", err, d.Log())
	}
	_, err := script(t, e, "after_script", "echo")
	if fault.ClassOf(err) != fault.Passing || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("after_script: %v", err)
	}
	// The number is still this job's: it is written down in the Engine.
	next, _ := preparedPlan(t, ofProject(t, d, func(p *docker.Plan) { p.Timeout = time.Minute }).plan)
	if next.slot != "-1" {
		t.Error(next.slot)
	}
	for _, e := range []*Engine{e, next} {
		if err := e.Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
			t.Error(err)
		}
	}
	if left := ownedByJobs(t, d); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
