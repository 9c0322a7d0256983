package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"envrole/executor/docker"
	"envrole/internal/dockertest"
	"envrole/internal/fakerunner"
)

// benchImage is made here, of this host's own programs: no registry is asked.
const benchImage = "envrole-bench:latest"

// benchClient is this program in it.
const benchClient = "/bench"

// hundredMB prints 100 MB.
const hundredMB = "head -c 100M /dev/zero | tr '\\0' y"

// measureDocker runs jobs in containers, through a proxy that knows when the
// Engine was at work: the rest of the time is ours.
func measureDocker(ctx context.Context, o options) (rows []row, err error) {
	if err := engineReady(ctx, o.engine); err != nil {
		why := "NOT MEASURED: " + err.Error()
		fmt.Fprintln(os.Stderr, "\nWARNING: jobs in containers are "+why)
		return []row{{name: "jobs in containers", ours: why, met: "?"}}, nil
	}
	w, err := newWorld(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	proxy, err := startEngineProxy(o.engine, filepath.Join(w.dir, "engine.sock"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, proxy.Close()) }()
	if err := w.inContainers(proxy.address); err != nil {
		return nil, err
	}
	w.noteFirst()
	var starts, wholes series
	for i := range o.rounds + 1 {
		s, whole, err := w.containerJob(ctx, proxy, ":")
		if err != nil {
			return nil, err
		}
		if i > 0 {
			starts, wholes = append(starts, s), append(wholes, whole)
		}
	}
	out, err := measureContainerOutput(ctx, o)
	if err != nil {
		return nil, err
	}
	asking, err := measureContainerEndpoint(ctx, o)
	if err != nil {
		return nil, err
	}
	return slices.Concat([]row{
		{name: "job in containers, ours until its first script", ours: starts.String(), target: "<= 50 ms", met: yesNo(starts.median() <= 50*time.Millisecond)},
		{name: "  ours in the whole job, revocation included", ours: wholes.String()},
	}, out, asking), nil
}

// engineReady makes the image in the Engine.
func engineReady(ctx context.Context, engine string) error {
	var root bytes.Buffer
	image := dockertest.Full()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	image.Add(benchClient, self)
	if err := image.Tar(&root); err != nil {
		return err
	}
	cmd := dockerCommand(ctx, engine, "import", "-", benchImage)
	cmd.Stdin = &root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("there is no Docker Engine at %s (-engine names another): %w %s", engine, err, bytes.TrimSpace(out))
	}
	return nil
}

func dockerCommand(ctx context.Context, engine string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+engine)
	return cmd
}

// inContainers makes the world's own jobs run in containers.
func (w *world) inContainers(engine string) error {
	text, err := os.ReadFile(w.config)
	if err != nil {
		return err
	}
	text = append(text, fmt.Sprintf("[executor]\nbase = \"docker\"\n[executor.docker]\nhost = %q\npull_policy = [\"never\"]\n", engine)...)
	if err := os.WriteFile(w.config, text, 0o600); err != nil {
		return err
	}
	return nil
}

// noteFirst makes the runner note the moment of a job's first script: when run
// is called for it.
func (w *world) noteFirst() {
	w.ours.RunExec = append([]string{"/bin/bash", "-c", `echo $EPOCHREALTIME >> "$0"; exec "$@"`, w.begun()}, w.ours.RunExec...)
}

func (w *world) begun() string { return filepath.Join(w.dir, "begun") }

// containerJob runs one job and gives the time that was not the Engine's: until
// its first script, and as a whole.
func (w *world) containerJob(ctx context.Context, proxy *engineProxy, script string) (start, whole time.Duration, err error) {
	payload, err := w.containerPayload()
	if err != nil {
		return 0, 0, err
	}
	if err := os.RemoveAll(w.begun()); err != nil {
		return 0, 0, err
	}
	from := time.Now()
	res := w.ours.Run(ctx, job(payload, script))
	to := time.Now()
	if err := inContainersFailed(res); err != nil {
		return 0, 0, err
	}
	text, err := os.ReadFile(w.begun())
	if err != nil {
		return 0, 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0, 0, err
	}
	at := time.UnixMicro(int64(seconds * 1e6))
	return at.Sub(from) - proxy.busy(from, at), to.Sub(from) - proxy.busy(from, to), nil
}

func (w *world) containerPayload() ([]byte, error) {
	payload, err := w.payload()
	if err != nil {
		return nil, err
	}
	var all map[string]any
	if err := json.Unmarshal(payload, &all); err != nil {
		return nil, err
	}
	all["image"] = map[string]any{"name": benchImage}
	return json.Marshal(all)
}

// measureContainerOutput compares a sub-stage that prints 100 MB with docker exec
// in the same container, whose output is read in the same way.
func measureContainerOutput(ctx context.Context, o options) (rows []row, err error) {
	w, err := newWorld(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.inContainers(o.engine); err != nil {
		return nil, err
	}
	payload, err := w.containerPayload()
	if err != nil {
		return nil, err
	}
	j, err := w.openWith(ctx, payload)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, j.close(ctx)) }()
	out, err := dockerCommand(ctx, o.engine, "ps", "-q", "--filter", "label="+docker.LabelRole+"="+docker.RoleJob, "--filter", "ancestor="+benchImage).Output()
	if err != nil || len(bytes.Fields(out)) != 1 {
		return nil, fmt.Errorf("find the job's container: %q %w", out, err)
	}
	j.env = append(j.env, "DOCKER_HOST="+o.engine)
	theirs := []string{"/bin/sh", "-c", `exec docker exec -i "$0" bash <"$1"`, string(bytes.TrimSpace(out))}
	var a, b series
	for range 3 * o.bigRounds { // six programs share the processors: one round says little
		for _, one := range []struct {
			argv []string
			into *series
		}{{w.ours.RunExec, &a}, {theirs, &b}} {
			u, err := j.call(ctx, one.argv, hundredMB)
			if err != nil {
				return nil, err
			}
			if u.bytes < printed {
				return nil, fmt.Errorf("%d bytes of the log arrived", u.bytes)
			}
			*one.into = append(*one.into, u.wall)
		}
	}
	j.watched = true
	u, err := j.call(ctx, w.ours.RunExec, hundredMB)
	if err != nil {
		return nil, err
	}
	return []row{{
		name: "sub-stage in a container that prints 100 MB", ours: a.String(), theirs: b.String() + " docker exec",
		ratio: times(float64(a.median()), float64(b.median())), target: "<= 1.15x", met: yesNo(a.median()*100 <= b.median()*115),
	}, {name: "  peak memory of the stage meanwhile", ours: mebibytes(u.peak)}}, nil
}

// measureContainerEndpoint runs a job in a container whose script asks for its
// session, over and over, by way of the container's own loopback.
func measureContainerEndpoint(ctx context.Context, o options) (rows []row, err error) {
	w, err := newWorld(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := errors.Join(w.deliver("endpoint"), w.inContainers(o.engine)); err != nil {
		return nil, err
	}
	payload, err := w.containerPayload()
	if err != nil {
		return nil, err
	}
	res := w.ours.Run(ctx, job(payload, fmt.Sprintf("%s=plain %s=%s %s", clientFor, otherServer, otherHere, benchClient)))
	if err := inContainersFailed(res); err != nil {
		return nil, err
	}
	took, err := answersIn(res.Log)
	if err != nil {
		return nil, err
	}
	ours, theirs := took.Ours.p99s(), took.Theirs.p99s()
	return []row{
		{
			name: "credentials request from a container, p99", ours: ours.fine(), theirs: theirs.fine() + " smallest HTTP server in it",
			ratio: times(float64(ours.median()), float64(theirs.median())),
		},
		{name: "  its median", ours: took.Ours.fine(), theirs: took.Theirs.fine(), ratio: times(float64(took.Ours.median()), float64(took.Theirs.median()))},
	}, nil
}

// inContainersFailed is failed for a base that says at debug level what it
// removed.
func inContainersFailed(res fakerunner.Result) error {
	if strings.HasPrefix(res.Cleanup, "envrole: removed ") && strings.Count(res.Cleanup, "\n") == 1 {
		res.Cleanup = ""
	}
	return failed("containers'", res)
}
