package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"envrole/executor"
	"envrole/executor/docker"
	"envrole/internal/dockertest"
)

func TestMain(m *testing.M) {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(filepath.Dir(self), programName), "./testdata/agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		panic(err)
	}
	os.Exit(dockertest.Main(m))
}

const (
	fullImage = "full:latest" // bash, git; uid 0
	ciImage   = "ci:latest"   // likewise, uid 1000
)

func engineFor(tb testing.TB) *dockertest.Daemon {
	tb.Helper()
	d := dockertest.Start(tb)
	d.Import(tb, fullImage, dockertest.Full())
	d.Import(tb, ciImage, dockertest.Full().With("USER ci"))
	return d
}

var marks struct {
	sync.Mutex
	n int
}

// plan is one of a job that has nothing special.
func plan(tb testing.TB, d *dockertest.Daemon, change func(*docker.Plan)) docker.Plan {
	tb.Helper()
	marks.Lock()
	marks.n++
	lease := fmt.Sprintf("lease-%d-%d", os.Getpid(), marks.n)
	marks.Unlock()
	p := docker.Plan{
		Engine: d.Address, LeaseID: lease, Mark: docker.Mark(lease), Host: docker.HostID(tb.Name()), JobID: 77, ProjectID: 42,
		Image: docker.Container{Name: fullImage, Pull: []string{"never"}}, Shell: "bash", BuildsDir: "/builds", CacheDir: "/cache",
		Metadata: docker.MetadataBlock, Grace: time.Second, ServiceWait: 10 * time.Second, Timeout: 30 * time.Second, PullTimeout: 30 * time.Second,
	}
	p.BuildsVolume, p.CacheVolume = "builds-"+p.Mark, "cache-"+p.Mark
	if change != nil {
		change(&p)
	}
	return p
}

// prepared is a job that is ready for scripts; its log so far is in log.
func prepared(tb testing.TB, d *dockertest.Daemon, change func(*docker.Plan)) (e *Engine, log string) {
	tb.Helper()
	return preparedPlan(tb, plan(tb, d, change))
}

func preparedPlan(tb testing.TB, p docker.Plan) (e *Engine, log string) {
	tb.Helper()
	var out safeBuffer
	e = &Engine{plan: p}
	tb.Cleanup(func() {
		if err := e.Cleanup(context.Background(), io.Discard, io.Discard); err != nil {
			tb.Errorf("cleanup: %v", err)
		}
	})
	if err := e.Prepare(tb.Context(), &out); err != nil {
		tb.Fatalf("prepare: %v\n%s", err, out.String())
	}
	return e, out.String()
}

// script runs text as a sub-stage and gives what it wrote.
func script(tb testing.TB, e executor.Executor, subStage, text string, env ...string) (string, error) {
	tb.Helper()
	return scriptIn(tb.Context(), tb, e, subStage, text, env...)
}

func scriptIn(ctx context.Context, tb testing.TB, e executor.Executor, subStage, text string, env ...string) (string, error) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "script")
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		tb.Fatal(err)
	}
	var out safeBuffer
	err := e.Run(ctx, executor.Script{Path: path, SubStage: subStage}, env, &out)
	return out.String(), err
}

// must is script for one that succeeds.
func must(tb testing.TB, e executor.Executor, subStage, text string, env ...string) string {
	tb.Helper()
	out, err := script(tb, e, subStage, text, env...)
	if err != nil {
		tb.Fatalf("%s: %v\n%s", subStage, err, out)
	}
	return out
}

func code(err error) int {
	var exit *executor.ExitError
	if errors.As(err, &exit) {
		return exit.Code
	}
	if err == nil {
		return 0
	}
	return -1
}

// get asks the Engine for what it keeps.
func get(tb testing.TB, d *dockertest.Daemon, path string) string {
	tb.Helper()
	resp, err := d.Do(context.Background(), http.MethodGet, path, nil)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func decode[T any](tb testing.TB, text string) T {
	tb.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		tb.Fatalf("%v in %s", err, text)
	}
	return v
}

// safeBuffer is written by one goroutine while another reads it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// until waits for something that is about to become true.
func until(tb testing.TB, what string, f func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("never: %s", what)
		}
	}
}

func runFile(ctx context.Context, e executor.Executor, subStage, path string, out io.Writer, env ...string) error {
	return e.Run(ctx, executor.Script{Path: path, SubStage: subStage}, env, out)
}

func encode(tb testing.TB, v any) string {
	tb.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}
