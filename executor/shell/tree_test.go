package shell

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// escapes are ways for a process to leave its script; each writes its pid to
// $PIDFILE and goes on for ever.
func escapes() map[string]string {
	const daemon = `bash -c 'echo $$ > '$PIDFILE'.new; mv '$PIDFILE'.new '$PIDFILE'; exec sleep 1000'`
	return map[string]string{
		"background":                  daemon + " &",
		"background, output closed":   daemon + " >/dev/null 2>&1 &",
		"setsid":                      "setsid " + daemon + " &",
		"double fork":                 "( ( setsid " + daemon + " & ) & )",
		"no environment":              "( setsid env -i " + daemon + " >/dev/null 2>&1 & )",
		"deaf to SIGTERM":             "( trap '' TERM HUP INT; setsid " + daemon + " & )",
		"stopped":                     "( setsid bash -c 'echo $$ > '$PIDFILE'.new; mv '$PIDFILE'.new '$PIDFILE'; kill -STOP $$; exec sleep 1000' & )",
		"its own child keeps forking": "( setsid bash -c 'trap \"\" TERM; echo $$ > '$PIDFILE'.new; mv '$PIDFILE'.new '$PIDFILE'; while :; do (sleep 0.01 &); sleep 0.01; done' & )",
	}
}

// everyEscape is escapes, and one that takes a program of its own.
func everyEscape(t testing.TB) map[string]string {
	t.Helper()
	all := escapes()
	all["first thread gone"] = "( " + helperVariable + "=headless SHELL_TEST_PLAN={} setsid " + spyProgram(t) + " >/dev/null 2>&1 & )"
	return all
}

const untilThere = "\nuntil [ -s $PIDFILE ]; do sleep 0.01; done\n"

func TestNothingOutlivesTheScript(t *testing.T) {
	bothPlans(t, func(t *testing.T, p Plan) {
		p.Grace = 300 * time.Millisecond
		onBothHosts(t, p, func(t *testing.T, e *Executor) {
			for name, escape := range everyEscape(t) {
				t.Run(name, func(t *testing.T) {
					pidfile := filepath.Join(p.Home, "pid")
					defer os.Remove(pidfile)
					out, err := runOn(t, e, escape+untilThere+"echo done", "PIDFILE="+pidfile)
					if err != nil || out != "done\n" {
						t.Errorf("%q, %v", out, err)
					}
					mustBeGone(t, readPID(t, pidfile))
				})
			}
		})
	})
}

func TestTheEndOfTheContextEndsTheTree(t *testing.T) {
	bothPlans(t, func(t *testing.T, p Plan) {
		p.Grace = 300 * time.Millisecond
		for name, escape := range everyEscape(t) {
			t.Run(name, func(t *testing.T) {
				pidfile := filepath.Join(p.Home, "pid")
				defer os.Remove(pidfile)
				why := errors.New("the runner said so")
				ctx, cancel := context.WithCancelCause(t.Context())
				out := &watcher{word: "ready", call: func() { cancel(why) }}
				err := New(p).Run(ctx, script(t, escape+untilThere+"echo ready\nsleep 1000"), []string{"PIDFILE=" + pidfile}, out)
				if !errors.Is(err, why) {
					t.Errorf("%v, want the context's cause", err)
				}
				mustBeGone(t, readPID(t, pidfile))
			})
		}
	})
}

func TestAScriptHasTheGraceTimeToTidyUp(t *testing.T) {
	bothPlans(t, func(t *testing.T, p Plan) {
		p.Grace = 20 * time.Second
		ctx, cancel := context.WithCancel(t.Context())
		out := &watcher{word: "ready", call: cancel}
		err := New(p).Run(ctx, script(t, "trap 'sleep 0.1; echo tidied; exit 0' TERM\necho ready\nwhile :; do sleep 0.01; done"), nil, out)
		if !strings.Contains(out.String(), "tidied") {
			t.Errorf("%q, %v", out.String(), err)
		}
	})
}

// A trap's own tools are not asked to end: they tidy up, or the next command
// does not run. What is left when the shell has ended is asked.
func TestATrapsToolsTidyUp(t *testing.T) {
	trap := func(t *testing.T, p Plan, commands string) string {
		p.Grace = time.Minute
		ctx, cancel := context.WithCancel(t.Context())
		out := &watcher{word: "ready", call: cancel}
		begun := time.Now()
		err := New(p).Run(ctx, script(t, "tidy() { "+commands+"; exit 0; }\ntrap tidy TERM\necho ready\nwhile :; do sleep 0.01; done"), nil, out)
		if !errors.Is(err, context.Canceled) || time.Since(begun) >= p.Grace {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		return out.String()
	}
	plans := map[string]func(testing.TB) Plan{"runner's user": newPlan, "own user": newUserPlan, "namespaces": newIsolatedPlan}
	for name, plan := range plans {
		t.Run(name, func(t *testing.T) {
			p := plan(t)
			if out := trap(t, p, "sh -c 'sleep 0.3; sh -c \"sleep 0.3; :\" && echo unlocked' && sh -c 'sleep 0.1; echo uploaded'"); !strings.Contains(out, "unlocked\nuploaded\n") {
				t.Errorf("%q", out)
			}
			if out := trap(t, p, "sh -c 'trap \"echo heard; exit\" TERM; : > up; while :; do sleep 0.05; done' & until [ -e up ]; do sleep 0.01; done; rm up"); !strings.Contains(out, "heard\n") {
				t.Errorf("%q", out)
			}
		})
	}
}

func TestAnEndedContextRunsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	err := New(newPlan(t)).Run(ctx, script(t, "echo ran"), nil, &out)
	if !errors.Is(err, context.Canceled) || out.Len() > 0 {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestAHelperOfTheStageItselfIsLeftAlone(t *testing.T) {
	p := newPlan(t)
	pidfile := filepath.Join(p.Home, "pid")
	helper := helperCommand(t, "run", p, "SHELL_TEST_SCRIPT="+script(t, "echo $$ > "+pidfile+".new; mv "+pidfile+".new "+pidfile+"; exec sleep 1000").Path)
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	other := newPlan(t)
	other.LeaseID = "other"
	if _, err := run(t, other, "PIDFILE="+pidfile+untilThere+"( sleep 1000 & )"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(helper.Process.Pid, 0); err != nil {
		t.Errorf("the helper was ended: %v", err)
	}
	if pr, ok := readProcess(readPID(t, pidfile)); !ok || pr.zombie() {
		t.Error("the helper's own child was ended")
	}
	if err := helper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = helper.Wait()
	mustEnd(t, readPID(t, pidfile))
}

func TestEndedOrphansAreReapedAtTheSecondLook(t *testing.T) {
	if err := adoptOrphans(); err != nil {
		t.Fatal(err)
	}
	p := newPlan(t)
	pidfile := filepath.Join(p.Home, "pid")
	s := script(t, "( bash -c 'echo $$ > "+pidfile+"' & )\nuntil [ -s "+pidfile+" ]; do sleep 0.01; done")
	if _, err := run(t, p, "bash "+s.Path); err != nil {
		t.Fatal(err)
	}
	pid := readPID(t, pidfile)
	mustEnd(t, pid)
	reapOnce(reapOnce(nil))
	if pr, ok := readProcess(pid); ok && pr.ppid == os.Getpid() {
		t.Errorf("process %d is still to be waited for", pid)
	}
}

// A process that never stays: each one forks the next and ends.
func TestAProcessThatKeepsChangingItsNumberIsCaught(t *testing.T) {
	bothPlans(t, func(t *testing.T, p Plan) {
		p.Grace = 100 * time.Millisecond
		onBothHosts(t, p, func(t *testing.T, e *Executor) {
			beat := filepath.Join(p.Home, "beat")
			defer os.Remove(beat)
			hop := "trap '' TERM HUP INT\nhop() { echo >> " + beat + "; [ $SECONDS -gt 20 ] || (hop &) ; }\nhop >/dev/null 2>&1\n"
			_, err := runOn(t, e, hop+"until [ -s "+beat+" ]; do sleep 0.01; done")
			if err != nil && !p.SwitchUser && e.Guarantee() != "cgroup" {
				t.Logf("not caught, but said: %v", err) // by its own user, without a cgroup, it has a chance
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			before, err := os.Stat(beat)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond) // any survivor hops within a few
			if after, err := os.Stat(beat); err != nil || after.Size() != before.Size() {
				t.Errorf("it hopped on: %d, %d, %v", before.Size(), after.Size(), err)
			}
		})
	})
}

// watcher is a log that calls call when word has appeared in it, once: a shell
// that is ended may write more.
type watcher struct {
	bytes.Buffer
	word string
	call func()
	once sync.Once
}

func (w *watcher) Write(p []byte) (int, error) {
	n, err := w.Buffer.Write(p)
	if strings.Contains(w.String(), w.word) {
		w.once.Do(w.call)
	}
	return n, err
}

// mustBeGone is mustEnd without any patience.
func mustBeGone(t *testing.T, pid int) {
	t.Helper()
	if lives(pid) {
		t.Errorf("process %d still lives", pid)
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}
