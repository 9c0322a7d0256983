package driver

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"envrole/executor"
	"envrole/roles/fault"
)

func TestAScriptOfFiftyMegabytesArrivesWhole(t *testing.T) {
	j := newJob(t)
	j.plan.Run = []string{j.program("#!/bin/sh\ntail -n +5 \"$1\" | sha256sum\n")}
	body := strings.Repeat(strings.Repeat("x", 99)+"\n", 500_000)
	sum := sha256.Sum256([]byte(body))
	path := j.script("script", "#!/bin/sh\n"+body)
	env := session()[:1] // with its two neighbours: lines 2 to 4
	var out bytes.Buffer
	start := time.Now()
	if err := j.inProcess(path, env, &out); err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(out.String())[0]; got != hexOf(sum[:]) {
		t.Errorf("the body has another digest: %s", out.String())
	}
	t.Logf("50 MB: %s", time.Since(start))
	j.noCopies()
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var out strings.Builder
	for _, c := range b {
		out.WriteByte(digits[c>>4])
		out.WriteByte(digits[c&15])
	}
	return out.String()
}

// full gives a file system that is too small for a copy.
func full(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if os.Geteuid() != 0 || syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k") != nil {
		missing(t, "root and the right to mount")
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

func TestAFullDiskRunsNothingAndLeavesNothing(t *testing.T) {
	j := newJob(t)
	ran := filepath.Join(j.dir, "ran")
	j.plan.Run = []string{j.program("#!/bin/sh\ntouch " + ran + "\n")}
	path := j.script("script", "#!/bin/sh\n"+strings.Repeat("x", 200<<10))
	j.dir = full(t)
	err := j.inProcess(path, session(), io.Discard)
	if !errors.Is(err, syscall.ENOSPC) || fault.ClassOf(err) != fault.Internal || fault.HelpOf(err) == "" || strings.Contains(err.Error(), "cret") {
		t.Errorf("%v", err)
	}
	if exists(ran) {
		t.Error("half a script was run")
	}
	j.noCopies()
}

func TestWhatIsNoScriptIsNotCopied(t *testing.T) {
	j := newJob(t)
	link := filepath.Join(j.dir, "link")
	if err := os.Symlink("/etc/passwd", link); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(j.dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	python := j.script("script", "#!/usr/bin/env python3\n")
	for _, path := range []string{link, fifo, j.dir, filepath.Join(j.dir, "none"), python} {
		var code *executor.StageError
		err := j.inProcess(path, session(), io.Discard)
		if fault.ClassOf(err) != fault.Internal || err == nil || errors.As(err, &code) {
			t.Errorf("%s: %v", path, err)
		}
		j.noCopies()
	}
	t.Setenv("TMPDIR", "")
	if _, err := (Plan{Mark: "m"}).copyScript(python, nil); err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("without TMPDIR: %v", err)
	}
}

// No process's command line shows a secret at any time while a script runs, and
// with inject = "script" no environment but those of the script's own processes.
func TestTheProcessTableShowsNoSecret(t *testing.T) {
	j := newJob(t)
	started, goOn := filepath.Join(j.dir, "started"), filepath.Join(j.dir, "go")
	j.plan.Run = []string{j.program("#!/bin/bash\ntouch " + started + "\nwhile ! test -e " + goOn + "; do sleep 0.02; done\nbash < \"$1\"\n")}
	const secret = "a-secret-of-this-test-alone"
	path := j.script("script", "#!/usr/bin/env bash\necho \"$AWS_SECRET_ACCESS_KEY\" | sha256sum; ps axww | grep -c '[a]-secret-of-this-test-alone'; true\n")
	if _, err := exec.LookPath("ps"); err != nil {
		missing(t, "ps")
	}
	done := make(chan error, 1)
	var out bytes.Buffer
	t.Setenv("TMPDIR", j.dir)
	e := &Executor{plan: j.plan}
	go func() {
		done <- e.Run(t.Context(), executor.Script{Path: path, SubStage: "build_script"}, []string{"AWS_SECRET_ACCESS_KEY=" + secret}, &out)
	}()
	eventually(t, "the driver starts", func() bool { return exists(started) })
	for _, what := range []string{"axwwe", "axww"} {
		ps, err := exec.Command("ps", what).Output()
		if err != nil || bytes.Contains(ps, []byte(secret)) {
			t.Errorf("ps %s shows the secret (%v)", what, err)
		}
	}
	if err := os.WriteFile(goOn, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(secret + "\n"))
	if want := hexOf(sum[:]) + "  -\n0\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	j.noCopies()
}
