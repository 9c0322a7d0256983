package engine

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"envrole/executor/docker"
	"envrole/internal/dockertest"
	"envrole/roles/fault"
)

// everything is what the Engine has, but for images.
func everything(t *testing.T, d *dockertest.Daemon) []string {
	t.Helper()
	var all []string
	for _, args := range [][]string{{"ps", "-a", "--format", "{{.Names}}"}, {"volume", "ls", "-q"}, {"network", "ls", "--format", "{{.Name}}"}} {
		out, err := d.Docker(t, args...)
		if err != nil {
			t.Fatal(out)
		}
		all = append(all, strings.Fields(out)...)
	}
	slices.Sort(all)
	return all
}

func TestCleanupRemovesTheJobAndNothingElse(t *testing.T) {
	d := dockertest.Own(t)
	d.Import(t, fullImage, dockertest.Full().With("VOLUME /from-image"))
	for _, args := range [][]string{
		{"volume", "create", "foreign"},
		{"network", "create", "foreign-net"},
		{"run", "-d", "--name", "foreign-c", "-v", "/anonymous", "--label", "envrole.role=job", fullImage, "sleep", "1000"},
	} {
		if out, err := d.Docker(t, args...); err != nil {
			t.Fatal(out)
		}
	}
	helper := &docker.Container{Name: fullImage, Pull: []string{"never"}}
	other, _ := prepared(t, d, nil)
	before := everything(t, d)
	e, _ := prepared(t, d, func(p *docker.Plan) {
		p.Helper, p.Volumes = helper, []string{"/own"}
		p.Services = []docker.Container{{Name: fullImage, Pull: []string{"never"}, Entrypoint: []string{"sleep", "1000"}, Aliases: []string{"s"}}}
		p.BuildsVolume, p.CacheVolume = other.plan.BuildsVolume, other.plan.CacheVolume
	})
	before = append(before, e.buildsVolume()) // of the project, which had one job so far
	slices.Sort(before)
	must(t, e, "build_script", "echo x >/from-image/x; echo x >/builds/x")
	if got := everything(t, d); len(got) < len(before)+8 {
		t.Fatalf("there is nothing to remove: %q", got)
	}
	// Of a lost job only this is known.
	lost := New(docker.Plan{Engine: e.plan.Engine, Mark: e.plan.Mark, Host: e.plan.Host})
	for range 2 {
		if err := lost.Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	if got := everything(t, d); !slices.Equal(got, before) {
		t.Errorf("before %q\nafter  %q", before, got)
	}
	if out := must(t, other, "build_script", "echo lives"); out != "lives\n" {
		t.Error("the other job is dead")
	}
}

func TestASweepRemovesDeadJobsOfThisHostOnly(t *testing.T) {
	d := dockertest.Own(t)
	d.Import(t, fullImage, dockertest.Full())
	live, _ := prepared(t, d, nil)
	foreign, _ := prepared(t, d, func(p *docker.Plan) { p.Host = "anotherhost" })
	before := everything(t, d)
	dead, _ := prepared(t, d, nil)
	half, _ := prepared(t, d, nil) // one of which only network and volumes are left
	if out, err := d.Docker(t, "rm", "-f", half.jobContainer(), half.holder(0)); err != nil {
		t.Fatal(out)
	}
	var log safeBuffer
	err := Sweep(t.Context(), docker.Plan{Engine: d.Address, Host: live.plan.Host}, func(lease string) bool { return lease == live.plan.LeaseID }, &log)
	if err != nil {
		t.Fatal(err)
	}
	want := append(slices.Clone(before), dead.buildsVolume(), dead.cacheVolume(), half.buildsVolume(), half.cacheVolume())
	slices.Sort(want)
	if got := everything(t, d); !slices.Equal(got, want) {
		t.Errorf("want %q\ngot  %q\n%s", want, got, log.String())
	}
	if !strings.Contains(log.String(), dead.plan.Mark) || strings.Contains(log.String(), foreign.plan.Mark) {
		t.Errorf("log: %s", log.String())
	}
}

func TestADaemonInTroubleIsAClearPassingFault(t *testing.T) {
	d := dockertest.Own(t)
	d.Import(t, fullImage, dockertest.Full())
	e, _ := prepared(t, d, func(p *docker.Plan) { p.Timeout = 3 * time.Second })
	ctx := context.Background()
	clear := func(what string, err error) {
		t.Helper()
		if fault.ClassOf(err) != fault.Passing || fault.HelpOf(err) == "" || !strings.Contains(err.Error(), d.Address) {
			t.Errorf("%s: %v (%v, %q)", what, err, fault.ClassOf(err), fault.HelpOf(err))
		}
	}
	// Frozen: it takes connections and says nothing.
	if err := d.Pause(); err != nil {
		t.Fatal(err)
	}
	_, err := script(t, e, "build_script", "echo")
	clear("frozen, run", err)
	clear("frozen, prepare", (&Engine{plan: plan(t, d, func(p *docker.Plan) { p.Timeout = time.Second })}).Prepare(ctx, io.Discard))
	clear("frozen, cleanup", e.Cleanup(ctx, io.Discard, io.Discard))
	if err := d.Resume(); err != nil {
		t.Fatal(err)
	}
	must(t, e, "build_script", "echo lives")
	// Killed in the middle of a script.
	e.beat = 200 * time.Millisecond
	var out safeBuffer
	done := make(chan error, 1)
	path := file(t, "echo begun; setsid sleep 778899 & setsid sleep 778899")
	go func() { done <- runFile(ctx, e, "build_script", path, &out) }()
	until(t, "begun", func() bool { return strings.Contains(out.String(), "begun") })
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	clear("killed, script", <-done)
	until(t, "the script's processes have ended, with nobody to ask", func() bool { return !runs(t, "778899") })
	clear("killed, prepare", (&Engine{plan: plan(t, d, nil)}).Prepare(ctx, io.Discard))
	clear("killed, cleanup", e.Cleanup(ctx, io.Discard, io.Discard))
	if err := d.Continue(); err != nil {
		t.Fatalf("%v\n%s", err, d.Log())
	}
	if err := Sweep(ctx, docker.Plan{Engine: d.Address, Host: e.plan.Host}, func(string) bool { return false }, io.Discard); err != nil {
		t.Error(err)
	}
	for _, name := range everything(t, d) {
		if strings.HasPrefix(name, "envrole-") {
			t.Errorf("left: %s", name)
		}
	}
}

func TestTwentyJobsAtOnce(t *testing.T) {
	d := dockertest.Own(t)
	d.Import(t, busyImage, dockertest.Busybox())
	var wg sync.WaitGroup
	for i := range 20 {
		p := plan(t, d, func(p *docker.Plan) { inSh(p); p.Timeout = 3 * time.Minute })
		wg.Go(func() {
			e := &Engine{plan: p}
			var log safeBuffer
			defer func() {
				if err := e.Cleanup(context.Background(), io.Discard, io.Discard); err != nil {
					t.Errorf("job %d: %v", i, err)
				}
			}()
			if err := e.Prepare(t.Context(), &log); err != nil {
				t.Errorf("job %d: %v %s", i, err, log.String())
				return
			}
			want := fmt.Sprintf("job %d\n", i)
			if out, err := script(t, e, "build_script", "echo job $N", fmt.Sprintf("N=%d", i)); err != nil || out != want {
				t.Errorf("job %d: %v %q", i, err, out)
			}
		})
	}
	wg.Wait()
	for _, name := range everything(t, d) {
		if strings.HasPrefix(name, "envrole-") {
			t.Errorf("left: %s", name)
		}
	}
}

// runs says whether a process of this host has the argument.
func runs(t *testing.T, argument string) bool {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), "\x00"+argument) {
			return true
		}
	}
	return false
}
