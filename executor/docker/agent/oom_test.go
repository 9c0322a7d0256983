package agent

import (
	"fmt"
	"testing"
	"time"
)

// Where memory ends the script goes, not who says how it ended.
func TestTheKernelEndsAScriptRatherThanTheAgent(t *testing.T) {
	own, ok := adjustment()
	if !ok {
		t.Fatal("this kernel tells nothing")
	}
	out, _, wait := startAgent(t, Header{Grace: time.Second}, "cat /proc/self/oom_score_adj /proc/$PPID/oom_score_adj")
	if r := wait(); r != (Result{}) || out.String() != fmt.Sprintf("%d\n%d\n", min(own+victim, 1000), own) {
		t.Errorf("%+v %q", r, out.String())
	}
}
