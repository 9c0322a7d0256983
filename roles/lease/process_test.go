package lease

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestProgramNamesDoNotConfuseTheStatusLine(t *testing.T) {
	for _, name := range []string{"sh", "a b", "x) R 1 1", "((()", ") S 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22", "\n)"} {
		line := fmt.Sprintf("17 (%s) S 4 17 17 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 3 0 987654 1 2 3", name)
		got, err := parseStat([]byte(line))
		if want := (stat{state: 'S', parent: 4, threads: 3, start: 987654}); err != nil || got != want {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
	for _, bad := range []string{"", "17 sh S 4", "17 (sh)", "17 (sh) S 4", "17 (sh) S x 17 17 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 3 0 1"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q accepted", bad)
		}
	}
}

func TestAChainSurvivesItsText(t *testing.T) {
	for _, chain := range [][]Process{nil, {{1, 0}}, {{4194304, 18446744073709551615}, {77, 12}, {1, 3}}} {
		got, err := DecodeChain(EncodeChain(chain))
		if err != nil || len(got) != len(chain) {
			t.Errorf("%v became %v, %v", chain, got, err)
		}
		for i := range got {
			if got[i] != chain[i] {
				t.Errorf("%v became %v", chain, got)
			}
		}
	}
	for _, bad := range []string{
		",", "1", "1.", ".1", "0.1", "-1.1", "1.-1", "1.1,", "+1.1", "1.1 ", "1.1;2.2", "99999999999.1",
		strings.Repeat("1.1,", maxChain) + "1.1", strings.Repeat("9", 1<<20),
	} {
		if got, err := DecodeChain(bad); err == nil {
			t.Errorf("%.40q read as %v", bad, got)
		}
	}
}

// The stages are wrapped in scripts that die with them; the test plays the runner.
func TestTheOwnerIsTheProcessThatOutlivesAStage(t *testing.T) {
	wrapped := func(what string, args ...string) string {
		cmd := child(t, what, args...)
		// Two shells deep, and nothing is exec'ed in place.
		script := `sh -c '"$@"; exit $?' sh "$@"; exit $?`
		cmd.Args = []string{"sh", "-c", script, "sh", cmd.Path}
		sh, err := exec.LookPath("sh")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Path = sh
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	chain := wrapped("chain")
	if n := strings.Count(chain, ","); n < 2 {
		t.Fatalf("chain %q is too short for a wrapped stage", chain)
	}
	if got := wrapped("owner", chain); got != strconv.Itoa(os.Getpid()) {
		t.Errorf("owner is pid %s, want this process %d", got, os.Getpid())
	}
}

func TestWithoutCommonAncestorTheOwnerIsUnknown(t *testing.T) {
	h := Host{BootID: "b", PIDNamespace: "n"}
	mine := []Process{{10, 5}, {9, 4}, {1, 0}}
	for name, c := range map[string]struct {
		chain []Process
		pid   int
		known bool
	}{
		"nearest":         {[]Process{{11, 7}, {9, 4}, {1, 0}}, 9, true},
		"only init":       {[]Process{{1, 0}}, 1, true},
		"pid used again":  {[]Process{{9, 3}}, 0, false},
		"empty":           {nil, 0, false},
		"other machine's": {[]Process{{5, 5}}, 0, false},
	} {
		o, err := findOwner(h, c.chain, mine)
		if o.PID != c.pid || (err == nil) != c.known || o.BootID != "b" || o.PIDNamespace != "n" {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
	if o, err := findOwner(Host{}, mine, mine); err == nil || o.PID != 10 {
		t.Errorf("without /proc: %+v, %v", o, err)
	}
}

func TestAJobIsGoneOnlyIfThatIsCertain(t *testing.T) {
	l := open(t)
	le := create(t, l)
	runner := child(t, "block")
	in, err := runner.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Start(); err != nil {
		t.Fatal(err)
	}
	st, err := readStat(runner.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	le.Owner = Owner{BootID: l.host.BootID, PIDNamespace: l.host.PIDNamespace, PID: runner.Process.Pid, StartTime: st.start}
	now := le.AskedAt
	judge := func(what string, want bool, change func(*Lease)) {
		t.Helper()
		le := le
		change(&le)
		if dead, why := l.Dead(le, now); dead != want || why == "" {
			t.Errorf("%s: dead = %v (%s), want %v", what, dead, why, want)
		}
	}
	same := func(*Lease) {}
	late := func(le *Lease) { le.Deadline = now.Add(-time.Second) }
	judge("running", false, same)
	judge("pid used again", true, func(le *Lease) { le.Owner.StartTime-- })
	judge("past its deadline", true, late)

	hold := child(t, "hold", l.dir, le.ID)
	holdIn, err := hold.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := hold.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hold.Start(); err != nil {
		t.Fatal(err)
	}
	if got := firstLine(t, out); got != "held" {
		t.Fatal(got)
	}
	// The runner is killed, and not yet waited for: a zombie is gone.
	if err := runner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for i := 0; !gone(le.Owner.PID, le.Owner.StartTime); i++ {
		if i > 5000 {
			t.Fatal("a killed process never counts as gone")
		}
		time.Sleep(time.Millisecond)
	}
	judge("a stage lives on", false, same)
	judge("a stage lives on past the deadline", true, late)
	if err := hold.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = hold.Wait()
	_ = holdIn.Close()
	judge("zombie", true, same)
	_ = in.Close()
	_ = runner.Wait()
	judge("ended", true, same)

	judge("other boot", false, func(le *Lease) { le.Owner.BootID = "0" })
	judge("other namespace", false, func(le *Lease) { le.Owner.PIDNamespace = "pid:[1]" })
	judge("unknown boot", false, func(le *Lease) { le.Owner.BootID = "" })
	judge("unknown pid", false, func(le *Lease) { le.Owner.PID = 0 })
	judge("init", false, func(le *Lease) { le.Owner.PID = 1 })
	judge("other boot, past its deadline", true, func(le *Lease) { le.Owner.BootID = "0"; late(le) })
	judge("init, past its deadline", true, func(le *Lease) { le.Owner.PID = 1; late(le) })
}

func TestHoldAndItsProbeDoNotDisturbEachOther(t *testing.T) {
	l := open(t)
	le := create(t, l)
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if _, err := l.Held(le.ID); err != nil {
				done <- err
				return
			}
		}
	}()
	for range 200 {
		release, err := l.Hold(le.ID)
		if err != nil {
			t.Fatal(err)
		}
		second, err := l.Hold(le.ID)
		if err != nil {
			t.Fatal(err)
		}
		release()
		if held, err := l.Held(le.ID); err != nil || !held {
			t.Fatalf("held = %v, %v while a second holder is left", held, err)
		}
		second()
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
