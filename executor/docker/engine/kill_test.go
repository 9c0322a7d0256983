package engine

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"envrole/executor"
	"envrole/executor/docker"
	"envrole/internal/dockertest"
	"envrole/roles/fault"
)

// stubborn leaves everything running that a script can, and says so.
const stubborn = `trap '' TERM HUP INT
setsid sleep 1111 &
nohup sleep 1112 >/dev/null 2>&1 &
(setsid bash -c 'trap "" TERM; (setsid bash -c "trap \"\" TERM; while :; do sleep 1113; done") & sleep 1114' &)
bash -c 'kill -STOP $$; sleep 1115' &
sleep 0.3
echo begun
while :; do sleep 1116; done`

// left counts what is left of scripts in a container of the job.
func left(tb testing.TB, e *Engine, subStage string) string {
	tb.Helper()
	return must(tb, e, subStage, running("sleep 111"))
}

// running is a script that shows the processes whose command line holds words. Its
// own do not: a shell's script is not in its command line.
func running(words string) string {
	return `n=0; for p in /proc/[0-9]*; do
c=$(tr '\0' ' ' <$p/cmdline 2>/dev/null)
case $c in *"` + words + `"*) n=$((n+1)); echo "$c" ;; esac; done; echo $n left`
}

func TestCancelEndsEveryProcessAndLeavesTheContainer(t *testing.T) {
	d := engineFor(t)
	for _, image := range []string{fullImage, ciImage} {
		e, _ := prepared(t, d, func(p *docker.Plan) { p.Image.Name = image })
		ctx, cancel := context.WithCancelCause(t.Context())
		var out safeBuffer
		done := make(chan error, 1)
		path := file(t, stubborn)
		go func() { done <- runFile(ctx, e, "build_script", path, &out) }()
		until(t, "begun", func() bool { return strings.Contains(out.String(), "begun") })
		why := errors.New("cancelled by test")
		cancel(why)
		if err := <-done; !errors.Is(err, why) {
			t.Errorf("%s: %v", image, err)
		}
		if got := left(t, e, "after_script"); got != "0 left\n" {
			t.Errorf("%s: %s", image, got)
		}
	}
}

func TestASuccessfulScriptLeavesNothingRunning(t *testing.T) {
	d := engineFor(t)
	e, _ := prepared(t, d, nil)
	out := must(t, e, "build_script", "setsid sleep 1111 & nohup sleep 1112 & (sleep 1113 &) ; echo done")
	if out != "done\n" {
		t.Errorf("%q", out)
	}
	if got := left(t, e, "after_script"); got != "0 left\n" {
		t.Error(got)
	}
}

// What a sub-stage does not own stays: the container's own processes.
func TestProcessesOfTheEntrypointStay(t *testing.T) {
	d := dockertest.Start(t)
	entry := dockertest.Full().WithFile("/entry", dockertest.File{Mode: 0o755, Content: "#!/bin/sh\nsleep 2222 &\nexec \"$@\"\n"})
	d.Import(t, "daemon:latest", entry.With(`ENTRYPOINT ["/entry"]`))
	e, _ := prepared(t, d, func(p *docker.Plan) { p.Image.Name = "daemon:latest" })
	for range 2 {
		if out := must(t, e, "build_script", running("sleep 2222")); out != "sleep 2222 \n1 left\n" {
			t.Errorf("%q", out)
		}
	}
	// The same look sees that it is gone.
	must(t, e, "build_script", `for p in /proc/[0-9]*; do case $(tr '\0' ' ' <$p/cmdline 2>/dev/null) in *"sleep 2222"*) kill -9 ${p#/proc/} ;; esac; done`)
	if out := must(t, e, "build_script", running("sleep 2222")); out != "0 left\n" {
		t.Errorf("killed: %q", out)
	}
}

// TestRunnerProcess is not a test: TestKilledStage runs it as a stage.
func TestRunnerProcess(t *testing.T) {
	p := os.Getenv("ENVROLE_TEST_PLAN")
	if p == "" {
		t.Skip("only a part of another test")
	}
	e := &Engine{plan: decode[docker.Plan](t, p)}
	_ = e.Run(context.Background(), executor.Script{Path: os.Getenv("ENVROLE_TEST_SCRIPT"), SubStage: "build_script"}, nil, os.Stdout)
}

func TestKillingTheStageEndsTheScript(t *testing.T) {
	d := engineFor(t)
	e, _ := prepared(t, d, nil)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestRunnerProcess$")
	cmd.Env = append(os.Environ(), "ENVROLE_TEST_PLAN="+encode(t, e.plan), "ENVROLE_TEST_SCRIPT="+file(t, stubborn))
	var out safeBuffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "begun", func() bool { return strings.Contains(out.String(), "begun") })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	until(t, "nothing is left", func() bool { return left(t, e, "after_script") == "0 left\n" })
}

// A log that cannot be written ends the script, as a broken pipe would.
func TestALogThatIsGoneEndsTheScript(t *testing.T) {
	d := engineFor(t)
	e, _ := prepared(t, d, nil)
	err := runFile(t.Context(), e, "build_script", file(t, "echo one; sleep 1111"), brokenWriter{})
	if !errors.Is(err, errBroken) {
		t.Errorf("%v", err)
	}
	if got := left(t, e, "after_script"); got != "0 left\n" {
		t.Error(got)
	}
}

var errBroken = errors.New("the log is broken")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

// A job's user may become root by sudo, and then its agent may not end it.
func TestProcessesOfRootAreEndedToo(t *testing.T) {
	d := dockertest.Start(t)
	im := dockertest.Full().WithFile("/bin/rootbox", dockertest.File{Mode: 0o755 | os.ModeSetuid, From: "/bin/busybox"}).
		WithFile("/bin/su", dockertest.File{Link: "rootbox"}).
		WithFile("/etc/passwd", dockertest.File{Mode: 0o644, Content: "root::0:0:root:/root:/bin/sh\nci:x:1000:1000::/home/ci:/bin/sh\n"})
	d.Import(t, "sudo:latest", im.With("USER ci"))
	e, _ := prepared(t, d, func(p *docker.Plan) { p.Image.Name, p.Grace = "sudo:latest", 2*time.Second })
	if out := must(t, e, "build_script", "su root -c 'id -ru'"); out != "0\n" {
		t.Fatalf("this test's image does not make root: %q", out)
	}
	asRoot := `su root -c 'trap "" TERM; echo begun; while :; do sleep 1111; done'`
	out, err := script(t, e, "build_script", asRoot+" & sleep 1; exit 3")
	if code(err) != 3 || !strings.Contains(out, "begun") {
		t.Errorf("a script that leaves a process of root: %v %q", err, out)
	}
	if got := left(t, e, "after_script"); got != "0 left\n" {
		t.Error(got)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	var log safeBuffer
	done := make(chan error, 1)
	path := file(t, asRoot)
	go func() { done <- runFile(ctx, e, "build_script", path, &log) }()
	until(t, "begun", func() bool { return strings.Contains(log.String(), "begun") })
	why := errors.New("cancelled by test")
	cancel(why)
	if err := <-done; !errors.Is(err, why) {
		t.Errorf("cancelled: %v", err)
	}
	if got := left(t, e, "after_script"); got != "0 left\n" {
		t.Error(got)
	}
}

func TestAContainerThatEndsIsAClearPassingFault(t *testing.T) {
	d := engineFor(t)
	e, _ := prepared(t, d, nil)
	_, err := script(t, e, "build_script", "kill -9 $PPID; sleep 1111")
	if fault.ClassOf(err) != fault.Passing || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("the agent killed: %v", err)
	}
	_, err = script(t, e, "after_script", "echo")
	if fault.ClassOf(err) != fault.Passing || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("the next: %v", err)
	}
	if err := e.Cleanup(t.Context(), &safeBuffer{}, &safeBuffer{}); err != nil {
		t.Error(err)
	}
	_, err = script(t, e, "after_script", "echo")
	if fault.ClassOf(err) != fault.Passing || !strings.Contains(err.Error(), "not there any more") {
		t.Errorf("removed: %v", err)
	}
	e, _ = prepared(t, d, func(p *docker.Plan) { p.Memory = 64 << 20 })
	out, err := script(t, e, "build_script", "head -c 500M /dev/zero | tail -c 400M | wc -c; exit ${PIPESTATUS[1]}")
	if code(err) != 137 || !strings.Contains(out, "executor.docker.memory") {
		t.Errorf("out of memory: %v %q", err, out)
	}
}
