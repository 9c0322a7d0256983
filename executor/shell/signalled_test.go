package shell

import (
	"context"
	"os/exec"
	"testing"
)

// The runner's signal goes to the whole group: the shell may be dead before this
// process knows of it, while a function of the script still tidies up. That is no
// end of the script, after which nothing is renewed.
func TestAShellThatDiesOfTheRunnersSignalHasNotEndedItsScript(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for script, want := range map[string]bool{"kill -TERM $$": true, "kill -INT $$": true, "kill -KILL $$": false, "exit 143": false, "exit 0": false} {
		r := runningScript{cmd: exec.Command("sh", "-c", script)}
		_ = r.cmd.Run()
		done := make(chan struct{})
		close(done)
		if got := r.signalled(cancelled, done); got != want {
			t.Errorf("%s: %t", script, got)
		}
	}
	// Its own namespaces' shell is in a session of its own.
	if (runningScript{box: &box{}}).signalled(cancelled, nil) {
		t.Error("a shell in namespaces gets no signal of the runner's")
	}
}
