package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"envrole/executor"
)

func TestExitCodesAreTheDriversOwn(t *testing.T) {
	j := newJob(t)
	code := filepath.Join(j.dir, "code")
	prog := j.program("#!/bin/sh\necho 42 > " + code + "\nexit $1\n")
	path := j.script("script", "")
	for _, want := range []int{0, 1, 2, 3, 77, 255} {
		argv := []string{prog, strconv.Itoa(want)}
		j.plan.Prepare, j.plan.Run, j.plan.Cleanup = argv, argv, argv
		for _, args := range [][]string{{"prepare"}, {"run", path, "build_script"}, append([]string{"run", path, "build_script"}, session()...), {"cleanup"}} {
			if got, _, errs := j.run(args...); got != want {
				t.Errorf("%v: %d, the driver's is %d: %s", args[0], got, want, errs)
			}
		}
	}
	if b, err := os.ReadFile(code); err != nil || string(b) != "42\n" {
		t.Errorf("the code that the driver wrote: %q %v", b, err)
	}
	j.noCopies()
}

func TestADriverThatIsKilledIsAPassingFault(t *testing.T) {
	j := newJob(t)
	j.plan.Run = []string{j.program("#!/bin/sh\nkill -9 $$\n")}
	code, _, errs := j.run(append([]string{"run", j.script("script", "x\n"), "build_script"}, session()...)...)
	if code != odd || !strings.HasPrefix(errs, "passing: ") || !strings.Contains(errs, "signal 9") || strings.Contains(errs, "cret") {
		t.Errorf("%d %q", code, errs)
	}
	j.noCopies()
	j.plan.Run = []string{filepath.Join(j.dir, "none")}
	code, _, errs = j.run(append([]string{"run", j.script("script", "x\n"), "build_script"}, session()...)...)
	if code != odd || !strings.HasPrefix(errs, "internal: ") || !strings.Contains(errs, "no such file") {
		t.Errorf("no program: %d %q", code, errs)
	}
	j.noCopies()
}

// The runner signals the group once. The driver takes its time, and its own end
// is the stage's.
func TestASignalOfTheRunnerIsWaitedOut(t *testing.T) {
	for name, tc := range map[string]struct {
		driver string
		want   int
	}{
		"trapped":    {"trap 'echo got it; sleep 0.3; exit 9' TERM\ntouch %[1]s\nwhile :; do sleep 0.02; done\n", 9},
		"ends well":  {"trap 'exit 0' TERM\ntouch %[1]s\nwhile :; do sleep 0.02; done\n", 0},
		"dies of it": {"touch %[1]s\nsleep 60\n", odd},
		"deaf":       {"trap '' TERM\ntouch %[1]s\nwhile ! test -e %[1]s.go; do sleep 0.02; done\nexit 5\n", 5},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJob(t)
			started := filepath.Join(j.dir, "started")
			j.plan.Run = []string{j.program("#!/bin/bash\n" + fmt.Sprintf(tc.driver, started))}
			cmd := j.stage(append([]string{"run", j.script("script", "x\n"), "build_script"}, session()...)...)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the driver starts", func() bool { return exists(started) })
			time.Sleep(2 * settle)
			if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if name == "deaf" {
				time.Sleep(100 * time.Millisecond)
				if err := os.WriteFile(started+".go", nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_ = cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != tc.want {
				t.Errorf("exit code %d, want %d: %s", got, tc.want, out.String())
			}
			if n := strings.Count(out.String(), "got it"); name == "trapped" && n != 1 {
				t.Errorf("the driver was signalled %d times", n)
			}
			j.noCopies()
		})
	}
}

// A signal between the stage's start and the driver's is not lost: it went to a
// group in which the driver was not yet.
func TestAStageThatIsSignalledEarlyDoesNotWaitForEver(t *testing.T) {
	for i := range 10 {
		j := newJob(t)
		j.plan.Run = []string{j.program("#!/bin/sh\nexec sleep 60\n")}
		cmd := j.stage("run", j.script("script", ""), "build_script")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 3 * time.Millisecond)
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			t.Fatalf("after %d ms: the signal was lost", i*3)
		}
	}
}

// On a busy host a start takes its time: a signal that came meanwhile went to a
// group in which the driver was not yet, however long ago.
func TestASignalDuringASlowStartIsNotLost(t *testing.T) {
	j := newJob(t)
	pipe := filepath.Join(t.TempDir(), "never")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	slow := func() {
		cancel()
		time.Sleep(2 * settle)
	}
	done := make(chan error, 1)
	go func() {
		c := command{what: "run", argv: []string{j.program("#!/bin/sh\nread never < " + pipe + "\n")}, env: os.Environ(), starting: slow}
		done <- c.run(ctx, io.Discard, nil, nil)
	}()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Error("the driver was not told")
		f, err := os.OpenFile(pipe, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		<-done
	}
}

// Nobody would see the end of a driver whose stage was killed.
func TestAKilledStageTakesTheDriverWithIt(t *testing.T) {
	j := newJob(t)
	pid := filepath.Join(j.dir, "pid")
	j.plan.Run = []string{j.program("#!/bin/sh\necho $$ > " + pid + ".new; mv " + pid + ".new " + pid + "\nexec sleep 300\n")}
	cmd := j.stage(append([]string{"run", j.script("script", "x\n"), "build_script"}, session()...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the driver starts", func() bool { return exists(pid) })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	b, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the driver ends", func() bool {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(b)) + "/stat")
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	})
	// The copy is left for cleanup, which needs no TMPDIR to be sane.
	for _, name := range []string{copyPrefix + "of-another-job", "script-x"} {
		if err := os.Mkdir(filepath.Join(j.dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(j.dir, copyPrefix+j.plan.Mark+"-*")); len(left) != 1 {
		t.Fatalf("copies before cleanup: %v", left)
	}
	if code, _, errs := j.run("cleanup"); code != 0 {
		t.Errorf("cleanup: %d %s", code, errs)
	}
	if left, _ := filepath.Glob(filepath.Join(j.dir, copyPrefix+j.plan.Mark+"-*")); len(left) != 0 {
		t.Errorf("copies after cleanup: %v", left)
	}
	if !exists(filepath.Join(j.dir, copyPrefix+"of-another-job")) || !exists(filepath.Join(j.dir, "script-x")) {
		t.Error("cleanup removed what is not this job's")
	}
	for _, tmp := range []string{"", "relative", "/nonexistent/dir"} {
		cmd := j.stage("cleanup")
		cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("TMPDIR=%q: %v %s", tmp, err, out)
		}
	}
}

func TestCleanupRunsThoughItsStageWasSignalled(t *testing.T) {
	j := newJob(t)
	done := filepath.Join(j.dir, "done")
	started, signalled := filepath.Join(j.dir, "started"), filepath.Join(j.dir, "signalled")
	j.plan.Cleanup = []string{j.program("#!/bin/sh\ntrap '' TERM\ntouch " + started + "\nuntil [ -e " + signalled + " ]; do sleep 0.02; done\nsleep 0.2; touch " + done + "; echo out; echo err >&2\n")}
	cmd := j.stage("cleanup")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the driver starts", func() bool { return exists(started) })
	if err := syscall.Kill(cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(signalled, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !exists(done) {
		t.Errorf("%v, done: %t", err, exists(done))
	}
	if out.String() != "out\n" || errs.String() != "err\n" {
		t.Errorf("stdout %q, stderr %q", out.String(), errs.String())
	}
}

// A stage that was signalled while it revoked still has the driver clean up;
// nothing is prepared or run any more.
func TestAnEndedStageStillCleansUp(t *testing.T) {
	j := newJob(t)
	done := filepath.Join(j.dir, "done")
	argv := []string{j.program("#!/bin/sh\ntouch " + done + "\n")}
	e := &Executor{plan: Plan{Prepare: argv, Run: argv, Cleanup: argv, Inject: InjectScript, Mark: "m"}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Prepare(ctx, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("prepare: %v", err)
	}
	if err := e.Run(ctx, executor.Script{Path: "/none", SubStage: "build_script"}, session(), io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("run: %v", err)
	}
	if exists(done) {
		t.Error("a program was started")
	}
	if err := e.Cleanup(ctx, io.Discard, io.Discard); err != nil || !exists(done) {
		t.Errorf("cleanup: %v", err)
	}
}

func TestOutputKeepsItsOrder(t *testing.T) {
	j := newJob(t)
	var want strings.Builder
	for i := range 500 {
		fmt.Fprintf(&want, "out %d\nerr %d\n", i, i)
	}
	j.plan.Run = []string{j.program("#!/bin/bash\nfor i in {0..499}; do echo out $i; echo err $i >&2; done\n")}
	code, out, errs := j.run("run", j.script("script", ""), "build_script")
	if code != 0 || out != want.String() || errs != "" {
		t.Errorf("%d, %d bytes, want %d; stderr %q", code, len(out), want.Len(), errs)
	}
}

// A daemon that the driver leaves behind may hold the pipe for hours; what was
// written before the driver's end is not lost.
func TestAHeldOutputDoesNotHoldTheStage(t *testing.T) {
	j := newJob(t)
	j.plan.Run = []string{j.program("#!/bin/bash\nsetsid sleep 120 &\necho $! >" + filepath.Join(j.dir, "daemon") + "\nhead -c 300000 /dev/zero\nexit 4\n")}
	start := time.Now()
	var got bytes.Buffer
	err := j.inProcess(j.script("script", ""), nil, &slowWriter{&got})
	var code *executor.StageError
	if !errors.As(err, &code) || code.Code != 4 || got.Len() != 300000 {
		t.Errorf("%v, %d bytes", err, got.Len())
	}
	if took := time.Since(start); took > 60*time.Second {
		t.Errorf("held for %s", took)
	}
	b, _ := os.ReadFile(filepath.Join(j.dir, "daemon"))
	if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

type slowWriter struct{ to io.Writer }

func (w *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(20 * time.Millisecond)
	return w.to.Write(p)
}

// When the log is gone the driver must not go on writing into nothing for ever.
func TestALogThatFailsEndsTheDriversOutput(t *testing.T) {
	j := newJob(t)
	j.plan.Run = []string{j.program("#!/bin/sh\nexec yes\n")}
	err := j.inProcess(j.script("script", "x"), session(), brokenWriter{})
	if err == nil {
		t.Error("no error")
	}
	j.noCopies()
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken") }
