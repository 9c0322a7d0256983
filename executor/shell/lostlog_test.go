package shell

import (
	"bufio"
	"path/filepath"
	"testing"
)

// A runner that is killed closes its end of the log. The run stage must outlive
// that: it is what keeps the job's processes together.
func TestALogThatGoesAwayEndsTheWholeTree(t *testing.T) {
	bothPlans(t, func(t *testing.T, p Plan) {
		pidfile := filepath.Join(p.Home, "pid")
		text := "PIDFILE=" + pidfile + "; export PIDFILE\n" + escapes()["setsid"] + untilThere + "while echo ready; do sleep 0.01; done"
		cmd := helperCommand(t, "run", p, "SHELL_TEST_SCRIPT="+script(t, text).Path)
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
		escaped := readPID(t, pidfile)
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it fails, for its log is gone
		mustBeGone(t, escaped)
	})
}

func TestAJobsPipesBreakAsUsual(t *testing.T) {
	bothPlans(t, func(t *testing.T, p Plan) {
		out, err := run(t, p, `yes | head -n 1; echo "${PIPESTATUS[0]}"`)
		if err != nil || out != "y\n141\n" {
			t.Errorf("%q, %v", out, err)
		}
	})
}
