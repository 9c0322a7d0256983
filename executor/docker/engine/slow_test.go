package engine

import (
	"testing"
	"time"

	"envrole/executor/docker"
)

// slow is a log that takes its time, as a runner under load does.
type slow struct{ n int }

func (s *slow) Write(p []byte) (int, error) {
	time.Sleep(time.Duration(len(p)) * 8 * time.Microsecond) // 8 s a megabyte
	s.n += len(p)
	return len(p), nil
}

// The Engine does not wait for ever for who reads what an ended process wrote.
func TestASlowLogGetsEverything(t *testing.T) {
	d := engineFor(t)
	e, _ := prepared(t, d, nil)
	var log slow
	if err := runFile(t.Context(), e, "build_script", file(t, "head -c 1000000 /dev/zero"), &log); err != nil {
		t.Error(err)
	}
	if log.n != 1_000_000 {
		t.Errorf("%d bytes", log.n)
	}
}

func TestWithoutAnyNetwork(t *testing.T) {
	d := engineFor(t)
	e, _ := prepared(t, d, func(p *docker.Plan) { p.Network = "none" })
	if out := must(t, e, "build_script", "ls /sys/class/net; echo $HOME"); out != "lo\n/root\n" {
		t.Errorf("%q", out)
	}
}
