package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"envrole/executor"
	"envrole/roles/fault"
)

func TestExitCodesAreKept(t *testing.T) {
	bothPlans(t, func(t *testing.T, p Plan) {
		for text, code := range map[string]int{
			"exit 0": 0, "exit 1": 1, "exit 42": 42, "exit 255": 255,
			"set -eo pipefail\nfalse | true\necho not here": 1,
			"sh -c 'kill -9 $$'":                            137,
		} {
			out, err := run(t, p, text)
			var exit *executor.ExitError
			switch {
			case code == 0 && err != nil:
				t.Errorf("%q: %v", text, err)
			case code != 0 && (!errors.As(err, &exit) || exit.Code != code):
				t.Errorf("%q: %v, want exit code %d", text, err, code)
			}
			if strings.Contains(out, "not here") {
				t.Errorf("%q went on after its failure", text)
			}
		}
	})
}

func TestAShellThatWasKilledIsAPassingFault(t *testing.T) {
	for _, sig := range []string{"KILL", "TERM", "SEGV"} {
		_, err := run(t, newPlan(t), "kill -"+sig+" $$")
		var exit *executor.ExitError
		if fault.ClassOf(err) != fault.Passing || errors.As(err, &exit) {
			t.Errorf("SIG%s: %v (class %s), want a passing fault", sig, err, fault.ClassOf(err))
		}
	}
}

func TestOddScriptsRunAsPlainBashRunsThem(t *testing.T) {
	bothPlans(t, func(t *testing.T, p Plan) {
		for _, text := range []string{
			"", "\n", "echo a\x00b\necho c", "printf '%s' '\xff\xfe\x80'", "echo '" + strings.Repeat("x", 300_000) + "'",
			"#!/usr/bin/env bash\necho \"$#\"", "\xef\xbb\xbfecho bom", "cat; echo stdin is empty", "echo one; echo two >&2; echo three",
		} {
			s := script(t, text)
			want, wantErr := exec.Command(p.Shell, s.Path).CombinedOutput()
			var out bytes.Buffer
			err := New(p).Run(t.Context(), s, nil, &out)
			got := strings.ReplaceAll(out.String(), scriptFD, s.Path) // its name in bash's own messages
			if got != string(want) || (err == nil) != (wantErr == nil) {
				t.Errorf("%.40q: %.80q, %v, want %.80q, %v", text, got, err, want, wantErr)
			}
		}
	})
}

func TestOutputKeepsItsOrderOverBothStreams(t *testing.T) {
	out, err := run(t, newPlan(t), "for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done")
	want := ""
	for i := 1; i <= 9; i++ {
		want += fmt.Sprintf("o%d\ne%d\n", i, i)
	}
	if err != nil || out != want {
		t.Errorf("%q, %v", out, err)
	}
}

func TestNoOpenFileOfTheRunnerReachesAJob(t *testing.T) {
	secret, err := unix.Open("/etc/hostname", unix.O_RDONLY, 0) // not close-on-exec, as a careless parent leaves it
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(secret)
	bothPlans(t, func(t *testing.T, p Plan) {
		out, err := run(t, p, "for fd in /proc/$$/fd/*; do echo -n \"${fd##*/} \"; readlink $fd || echo; done")
		if err != nil || strings.Contains(out, "hostname") {
			t.Fatalf("%s, %v", out, err)
		}
		for line := range strings.Lines(out) {
			n, target, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch {
			case target == "": // closed since: the shell's own, while it lists them
			case n == "0" && target == "/dev/null":
			case n == "1" || n == "2": // the output pipe
			case n == "3" && p.SwitchUser && strings.HasPrefix(target, "/memfd:script"):
			case n == "255": // bash's own, of the script
			default:
				t.Errorf("the job holds %s", line)
			}
		}
	})
}

func TestFailingLogEndsTheScript(t *testing.T) {
	err := New(newPlan(t)).Run(t.Context(), script(t, "while echo x; do :; done"), nil, brokenLog{})
	if !errors.Is(err, errBroken) {
		t.Errorf("%v", err)
	}
}

type brokenLog struct{}

var errBroken = errors.New("the log is gone")

func (brokenLog) Write([]byte) (int, error) { return 0, errBroken }

func TestManyScriptsAtOnce(t *testing.T) {
	p := newPlan(t)
	const many = 50 // a run stage has one; the whole driver with 200 jobs is internal/e2e's
	var wg sync.WaitGroup
	for i := range many {
		s := script(t, fmt.Sprintf("sleep 0.05\necho %d\nexit %d", i, i%3))
		one := p
		one.LeaseID = fmt.Sprint(i)
		wg.Go(func() {
			var out bytes.Buffer
			err := New(one).Run(context.Background(), s, nil, &out)
			var exit *executor.ExitError
			code := 0
			if errors.As(err, &exit) {
				code = exit.Code
			} else if err != nil {
				t.Error(err)
			}
			if out.String() != fmt.Sprintln(i) || code != i%3 {
				t.Errorf("script %d: %q, code %d", i, out.String(), code)
			}
		})
	}
	wg.Wait()
	if len(running.mains) != 0 {
		t.Errorf("%d scripts are still entered", len(running.mains))
	}
}

func TestIncompletePlanRunsNothing(t *testing.T) {
	for name, p := range map[string]Plan{
		"empty":         {},
		"root as other": {Shell: "/bin/sh", LeaseID: "l", SwitchUser: true},
		"no lease":      {Shell: "/bin/sh"},
	} {
		if _, err := run(t, p, "exit 0"); err == nil {
			t.Errorf("%s: ran", name)
		}
	}
}

func TestScriptMustBeARegularFile(t *testing.T) {
	p := newUserPlan(t)
	s := script(t, "echo secret")
	if err := os.Symlink(s.Path, s.Path+".link"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(s.Path+".fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{".link", ".fifo", ".missing"} {
		bad := executor.Script{Path: s.Path + suffix, SubStage: "build_script"}
		if err := New(p).Run(t.Context(), bad, nil, &bytes.Buffer{}); err == nil {
			t.Errorf("%s was run", suffix)
		}
	}
}
