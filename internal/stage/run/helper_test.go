package run

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"envrole/executor/shell"
	"envrole/internal/renewal"
	"envrole/internal/stage"
	"envrole/roles/fault"
	"envrole/roles/seal"
)

// The run stage starts with every script: it must not carry the AWS SDK.
func TestTheRunStageDoesNotLinkTheSDK(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "envrole/cmd/envrole-run").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		for _, not := range []string{"github.com/aws/", "envrole/roles/session", "envrole/internal/stage/refresh"} {
			if strings.HasPrefix(dep, not) {
				t.Errorf("envrole-run links %s", dep)
			}
		}
	}
}

// The helper has the runner's own credentials: one that the job's user could
// have replaced is not started.
func TestAHelperThatTheJobCouldReplaceIsRefused(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(filepath.Dir(self), renewal.Program)
	// An upgrade replaces it while jobs run: that must pass.
	if _, err := helperProgram(shell.New(shell.Plan{})); fault.ClassOf(err) != fault.Passing || fault.HelpOf(err) == "" {
		t.Errorf("without the program: %v", err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil { // a program
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(program) })
	if got, err := helperProgram(shell.New(shell.Plan{UID: os.Geteuid()})); err != nil || got != program {
		t.Errorf("jobs of the runner's own user: %q %v", got, err)
	}
	_, err = helperProgram(shell.New(shell.Plan{SwitchUser: true, UID: os.Geteuid(), GID: os.Getegid()}))
	if fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), "could have replaced it") {
		t.Errorf("a job's user who owns it: %v", err)
	}
	if err := runHelper(t.Context(), "/none", shell.New(shell.Plan{}), renewal.Order{}); fault.ClassOf(err) != fault.Passing {
		t.Errorf("a helper without an answer: %v", err)
	}
}

// A program's environment, its arguments and its pipes can be read under /proc
// until it closes its memory.
func TestTheKeyIsNowhereUnderProc(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(filepath.Dir(self), renewal.Program)
	found := filepath.Join(t.TempDir(), "found")
	script := fmt.Sprintf("#!/bin/sh\n{ tr '\\0' '\\n' </proc/$$/environ; tr '\\0' '\\n' </proc/$$/cmdline; cat /proc/$$/fd/0 2>/dev/null; } >%[1]s.proc\ncat >%[1]s\necho '{\"ok\":true}'\n", found)
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil { // a program
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(program) })
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(stage.EnvKey, key.Encode())
	t.Setenv(stage.EnvLease, "a-lease")
	if err := runHelper(t.Context(), "/none", shell.New(shell.Plan{}), renewal.Order{Key: key, Failures: 3}); err != nil {
		t.Fatal(err)
	}
	open, err := os.ReadFile(found + ".proc")
	if err != nil || !strings.Contains(string(open), "a-lease") || !strings.Contains(string(open), renewal.Argument) || strings.Contains(string(open), key.Encode()) {
		t.Errorf("under /proc: %q %v", open, err)
	}
	in, err := os.Open(found)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if order, err := renewal.Take(in); err != nil || order.Key.Encode() != key.Encode() || order.Failures != 3 {
		t.Errorf("on standard input: %d %v", order.Failures, err)
	}
}

func TestNothingOfTheAuthorsReachesTheHelper(t *testing.T) {
	got := withoutJobVariables([]string{"PATH=/bin", "CUSTOM_ENV_AWS_PROFILE=x", "AWS_PROFILE=runner", "CUSTOM_ENV_X=y", "ENVROLE_JOB_KEY=k", "ENVROLE_LEASE_ID=l"})
	if !slices.Equal(got, []string{"PATH=/bin", "AWS_PROFILE=runner", "ENVROLE_LEASE_ID=l"}) {
		t.Errorf("got %q", got)
	}
}

func TestTooMuchOfAnAnswerIsDropped(t *testing.T) {
	var b bytes.Buffer
	l := &limited{&b, 5}
	for range 3 {
		if n, err := l.Write([]byte("abc")); n != 3 || err != nil {
			t.Errorf("%d %v", n, err)
		}
	}
	if b.String() != "abcab" {
		t.Errorf("kept %q", b.String())
	}
}

// The runner's signal goes to the group of the run stage: the script of a
// cancelled job may need its session while it tidies up.
func TestTheRunnersSignalDoesNotReachTheHelper(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(filepath.Dir(self), renewal.Program)
	found := filepath.Join(t.TempDir(), "found")
	script := fmt.Sprintf("#!/bin/sh\ncut -d' ' -f5 /proc/$$/stat >%s\necho '{\"ok\":true}'\n", found)
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil { // a program
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(program) })
	if err := runHelper(t.Context(), "/none", shell.New(shell.Plan{}), renewal.Order{}); err != nil {
		t.Fatal(err)
	}
	group, err := os.ReadFile(found)
	if ours := fmt.Sprint(syscall.Getpgrp()); err != nil || len(group) < 2 || strings.TrimSpace(string(group)) == ours {
		t.Errorf("its group is %q, ours %s: %v", group, ours, err)
	}
}
