package shell

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"testing"
)

// bigOutput is what a job that prints 100 MB does.
const bigOutput = `head -c 100M /dev/zero | tr '\0' x | fold -w 100`

// counter reads as the runner does: it copies what comes.
type counter struct{ n int }

func (c *counter) Write(p []byte) (int, error) { c.n += len(p); return len(p), nil }

func BenchmarkRunOutput(b *testing.B) {
	s := script(b, bigOutput)
	b.Run("run", func(b *testing.B) {
		for b.Loop() {
			var c counter
			if err := New(newPlan(b)).Run(context.Background(), s, nil, &c); err != nil || c.n < 100<<20 {
				b.Fatal(err, c.n)
			}
		}
	})
	b.Run("plain bash", func(b *testing.B) {
		for b.Loop() {
			var c counter
			cmd := exec.Command("bash", s.Path)
			r, w, err := os.Pipe()
			if err != nil {
				b.Fatal(err)
			}
			cmd.Stdout, cmd.Stderr = w, w
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			w.Close()
			if _, err := io.Copy(&c, r); err != nil {
				b.Fatal(err)
			}
			r.Close()
			if err := cmd.Wait(); err != nil || c.n < 100<<20 {
				b.Fatal(err, c.n)
			}
		}
	})
}

// BenchmarkRunEmpty is what a sub-stage costs beside its shell.
func BenchmarkRunEmpty(b *testing.B) {
	s := script(b, "exit 0")
	loop := func(p Plan) func(b *testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				if err := New(p).Run(context.Background(), s, nil, &bytes.Buffer{}); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("same user", loop(newPlan(b)))
	if os.Geteuid() == 0 {
		b.Run("other user", loop(newUserPlan(b)))
		pool, job := newPool(b, 1)
		b.Run("own user", loop(startJob(b, job, pool)))
		b.Run("namespaces", loop(newIsolatedPlan(b)))
	}
	b.Run("plain bash", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("bash", s.Path).Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}
