package shell

import (
	"bufio"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// killedStage runs a script in a run stage of its own, kills that stage with
// SIGKILL once the script has written its pid and that of an escaped process,
// and returns the two.
func killedStage(t *testing.T, p Plan, escape string, env ...string) (shellPID, escaped int) {
	t.Helper()
	pidfile := filepath.Join(p.Home, "pid")
	text := "PIDFILE=" + pidfile + "; export PIDFILE\n" + escape + untilThere + "echo $$ > $PIDFILE.shell; echo ready; sleep 1000"
	cmd := helperCommand(t, "run", p, append(env, "SHELL_TEST_SCRIPT="+script(t, text).Path)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	return readPID(t, pidfile+".shell"), readPID(t, pidfile)
}

func TestTheShellDiesWithItsStage(t *testing.T) {
	bothPlans(t, func(t *testing.T, p Plan) {
		shellPID, escaped := killedStage(t, p, escapes()["setsid"])
		mustEnd(t, shellPID)
		if err := New(p).Cleanup(context.Background(), io.Discard, io.Discard); err != nil {
			t.Error(err)
		}
		mustBeGone(t, escaped)
	})
}

func TestCleanupEndsWhatAKilledStageLeft(t *testing.T) {
	bothPlans(t, func(t *testing.T, p Plan) {
		p.Grace = 300 * time.Millisecond
		for name, escape := range everyEscape(t) {
			if name == "no environment" && New(p).Guarantee() == "subreaper" {
				continue // that one is beyond reach there, as Guarantee says
			}
			t.Run(name, func(t *testing.T) {
				_, escaped := killedStage(t, p, escape)
				for range 2 {
					if err := New(p).Cleanup(context.Background(), io.Discard, io.Discard); err != nil {
						t.Error(err)
					}
				}
				mustBeGone(t, escaped)
				for _, name := range []string{"pid", "pid.shell"} {
					_ = os.Remove(filepath.Join(p.Home, name))
				}
			})
		}
	})
}

func TestWithoutACgroupCleanupEndsWhatAKilledStageLeft(t *testing.T) {
	bothPlans(t, func(t *testing.T, p Plan) {
		_, escaped := killedStage(t, p, escapes()["double fork"], "SHELL_TEST_NO_CGROUP=1")
		if err := New(p).Cleanup(context.Background(), io.Discard, io.Discard); err != nil {
			t.Error(err)
		}
		mustBeGone(t, escaped)
	})
}

func TestTheOwnUserAloneTellsWhatAKilledStageLeft(t *testing.T) {
	p := newUserPlan(t)
	p.Grace = 300 * time.Millisecond
	_, escaped := killedStage(t, p, escapes()["no environment"], "SHELL_TEST_NO_CGROUP=1")
	if err := p.endStrays(nil, p.orphans); err != nil {
		t.Fatal(err)
	}
	mustBeGone(t, escaped)
}

func TestTheNextJobOfTheUserEndsWhatIsLeft(t *testing.T) {
	p := newUserPlan(t)
	p.Grace = 300 * time.Millisecond
	_, escaped := killedStage(t, p, escapes()["no environment"], "SHELL_TEST_NO_CGROUP=1")
	next := p
	next.LeaseID = "next job"
	if err := New(next).Prepare(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	mustBeGone(t, escaped)
}

func TestCleanupLeavesAConcurrentJobOfTheUserAlone(t *testing.T) {
	p := newUserPlan(t)
	pidfile := filepath.Join(p.Home, "pid")
	text := "PIDFILE=" + pidfile + "; export PIDFILE\n" + escapes()["no environment"] + untilThere + "echo ready; sleep 1000"
	other := helperCommand(t, "run", p, "SHELL_TEST_SCRIPT="+script(t, text).Path)
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	mine := p
	mine.LeaseID, mine.TmpDir = "mine", ""
	if err := New(mine).Cleanup(context.Background(), io.Discard, io.Discard); err != nil {
		t.Error(err)
	}
	if pr, ok := readProcess(readPID(t, pidfile)); !ok || pr.zombie() {
		t.Error("a process of a job that still runs was ended")
	}
	if err := unix.Kill(other.Process.Pid, unix.SIGKILL); err != nil {
		t.Error(err)
	}
	_ = other.Wait()
}
