package engine

import (
	"context"
	"io"
	"os"
	"os/exec"
	"testing"

	"envrole/executor"
	"envrole/executor/docker"
	"envrole/internal/dockertest"
)

const hundredMB = "head -c 100000000 /dev/zero | tr '\\0' 'y'"

// The same output by way of the agent, and by docker exec itself.
func BenchmarkOutput(b *testing.B) {
	d := engineFor(b)
	e, _ := prepared(b, d, nil)
	path := b.TempDir() + "/script"
	if err := os.WriteFile(path, []byte(hundredMB), 0o600); err != nil {
		b.Fatal(err)
	}
	b.Run("envrole", func(b *testing.B) {
		b.SetBytes(100_000_000)
		for b.Loop() {
			if err := e.Run(b.Context(), executor.Script{Path: path, SubStage: "build_script"}, nil, io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("docker-exec", func(b *testing.B) {
		b.SetBytes(100_000_000)
		for b.Loop() {
			cmd := exec.Command("docker", "exec", e.jobContainer(), "bash", "-c", hundredMB)
			cmd.Env = append(os.Environ(), "DOCKER_HOST="+d.Address)
			cmd.Stdout = onlyWriter{io.Discard}
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

type onlyWriter struct{ io.Writer }

// A script that does nothing.
func BenchmarkEmptyScript(b *testing.B) {
	d := engineFor(b)
	e, _ := prepared(b, d, nil)
	path := b.TempDir() + "/script"
	if err := os.WriteFile(path, []byte(":"), 0o600); err != nil {
		b.Fatal(err)
	}
	b.Run("envrole", func(b *testing.B) {
		for b.Loop() {
			if err := e.Run(b.Context(), executor.Script{Path: path, SubStage: "build_script"}, nil, io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("docker-exec", func(b *testing.B) {
		for b.Loop() {
			cmd := exec.Command("docker", "exec", e.jobContainer(), "bash", "-c", ":")
			cmd.Env = append(os.Environ(), "DOCKER_HOST="+d.Address)
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A job's containers from nothing to nothing, and what Docker itself takes for
// one container on a network of its own.
func BenchmarkJob(b *testing.B) {
	d := dockertest.Start(b)
	d.Import(b, busyImage, dockertest.Busybox())
	b.Run("envrole", func(b *testing.B) {
		for b.Loop() {
			p := plan(b, d, inSh)
			p.BuildsVolume, p.CacheVolume = "bench-builds", "bench-cache"
			p.Host = "bench"
			e := New(p)
			if err := e.Prepare(context.Background(), io.Discard); err != nil {
				b.Fatal(err)
			}
			if err := e.Cleanup(context.Background(), io.Discard, io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("docker-one-container", func(b *testing.B) {
		for b.Loop() {
			for _, args := range [][]string{{"network", "create", "bench"}, {"run", "-d", "--network", "bench", "--name", "bench", busyImage, "sleep", "1000"}, {"rm", "-fv", "bench"}, {"network", "rm", "bench"}} {
				if out, err := d.Docker(b, args...); err != nil {
					b.Fatal(out)
				}
			}
		}
	})
	b.Run("own-part", func(b *testing.B) { // no Engine: the agent's image, the payload and the plan
		for b.Loop() {
			if _, err := readAgent(); err != nil {
				b.Fatal(err)
			}
			if _, err := readPayload("", ""); err != nil {
				b.Fatal(err)
			}
			_ = (&Engine{plan: docker.Plan{}}).jobOptions("x")
		}
	})
}
