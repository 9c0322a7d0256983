package shell

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// leavesOne is a script that leaves an orphan, which notes its pid in $PIDFILE.
const leavesOne = "( setsid bash -c 'echo $$ > '$PIDFILE'.new; mv '$PIDFILE'.new '$PIDFILE'; exec sleep 1000' >/dev/null 2>&1 & )" + untilThere

func TestAHelperOfAnotherProgramIsSparedUntilItIsDone(t *testing.T) {
	bothPlans(t, func(t *testing.T, p Plan) {
		onBothHosts(t, p, func(t *testing.T, e *Executor) {
			pidfile := filepath.Join(p.Home, "pid")
			defer os.Remove(pidfile)
			helper := exec.Command("sleep", "1000")
			done, err := StartSpared(helper)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = helper.Process.Kill(); _ = helper.Wait() }()
			if _, err := runOn(t, e, leavesOne, "PIDFILE="+pidfile); err != nil {
				t.Fatal(err)
			}
			mustBeGone(t, readPID(t, pidfile))
			if h, ok := readProcess(helper.Process.Pid); !ok || h.zombie() {
				t.Fatal("the helper was ended with the script")
			}
			// Else this test would not tell a spared one from any other.
			done()
			if _, err := runOn(t, e, "true"); err != nil {
				t.Fatal(err)
			}
			if h, ok := readProcess(helper.Process.Pid); ok && !h.zombie() {
				t.Error("it is spared for ever")
			}
		})
	})
}

// The number of a helper that ended may be the next process's of the job.
func TestOnlyTheHelperItselfIsSpared(t *testing.T) {
	helper := exec.Command("sleep", "1000")
	done, err := StartSpared(helper)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	defer func() { _ = helper.Process.Kill(); _ = helper.Wait() }()
	p, ok := readProcess(helper.Process.Pid)
	if !ok {
		t.Fatal("it has ended")
	}
	later, child := p, p
	later.start++
	child.pid++
	running.mu.Lock()
	defer running.mu.Unlock()
	if !running.spares(p) || running.spares(later) || running.spares(child) {
		t.Errorf("spared: itself %t, a later one with its number %t, another %t", running.spares(p), running.spares(later), running.spares(child))
	}
}

// Whoever started it waits for it: its exit code is nobody else's to take.
func TestAnEndedHelperIsNotReaped(t *testing.T) {
	helper := exec.Command("sh", "-c", "exit 7")
	done, err := StartSpared(helper)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	for {
		if p, ok := readProcess(helper.Process.Pid); !ok || p.zombie() {
			break
		}
	}
	reapOnce(reapOnce(nil))
	if _, err := run(t, newPlan(t), "true"); err != nil {
		t.Fatal(err)
	}
	if err := helper.Wait(); err == nil || helper.ProcessState.ExitCode() != 7 {
		t.Errorf("got %v", err)
	}
	if _, err := StartSpared(exec.Command("/none")); err == nil {
		t.Error("a program that is not there was started")
	}
}
