package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"envrole/internal/fakerunner"
)

// opened is a job after its prepare: its sub-stages can be run one by one, with
// any reader of the log.
type opened struct {
	w      *world
	dir    string
	env    []string
	parts  map[string]time.Duration // what config and prepare took
	script string
	// watched makes call look at the program's memory all the time, which
	// cannot be asked for from inside a container.
	watched bool
}

// open runs config and prepare of one more job on this host.
func (w *world) open(ctx context.Context) (*opened, error) {
	payload, err := w.payload()
	if err != nil {
		return nil, err
	}
	return w.openWith(ctx, payload)
}

// openWith runs config and prepare of a job.
func (w *world) openWith(ctx context.Context, payload []byte) (*opened, error) {
	dir, err := os.MkdirTemp(w.dir, "job")
	if err != nil {
		return nil, err
	}
	o := &opened{w: w, dir: dir, parts: map[string]time.Duration{}, script: filepath.Join(dir, "script")}
	response := filepath.Join(dir, "response.json")
	if err := os.WriteFile(response, payload, 0o600); err != nil {
		return nil, err
	}
	o.env = append(
		append([]string{}, w.ours.Environ...), "TMPDIR="+dir, "JOB_RESPONSE_FILE="+response,
		"BUILD_FAILURE_EXIT_CODE=1", "SYSTEM_FAILURE_EXIT_CODE=2", "BUILD_EXIT_CODE_FILE="+filepath.Join(dir, "code"),
	)
	settings, err := o.stage(ctx, "config", w.ours.ConfigExec)
	if err != nil {
		return nil, err
	}
	var out fakerunner.ConfigOutput
	if err := json.Unmarshal(settings, &out); err != nil {
		return nil, err
	}
	for k, v := range out.JobEnv {
		o.env = append(o.env, k+"="+v)
	}
	_, err = o.stage(ctx, "prepare", w.ours.PrepareExec)
	return o, err
}

// close runs cleanup.
func (o *opened) close(ctx context.Context) error {
	_, err := o.stage(ctx, "cleanup", o.w.ours.CleanupExec)
	return err
}

func (o *opened) stage(ctx context.Context, name string, argv []string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = o.dir, o.env, &stdout, &stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", name, err, stdout.Bytes(), stderr.Bytes())
	}
	o.parts[name] = time.Since(start)
	return stdout.Bytes(), nil
}

// usage is what one call cost.
type usage struct {
	wall, cpu time.Duration // cpu with that of every process that was waited for
	bytes     int
	tail      string // the last bytes of the log
	peak      int    // of the program's resident memory as it was seen, in KiB
}

// call runs a program on a script that holds text, and reads its log as GitLab
// Runner does: 32 KiB at a time, from a pipe.
func (o *opened) call(ctx context.Context, argv []string, text string) (usage, error) {
	if err := os.WriteFile(o.script, []byte("#!/usr/bin/env bash\n"+text), 0o700); err != nil {
		return usage{}, err
	}
	cmd := exec.CommandContext(ctx, argv[0], append(append([]string{}, argv[1:]...), o.script, "build_script")...)
	cmd.Dir, cmd.Env = o.dir, o.env
	r, w, err := os.Pipe()
	if err != nil {
		return usage{}, err
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	start := time.Now()
	err = cmd.Start()
	w.Close()
	if err != nil {
		return usage{}, err
	}
	watched := watch(o.watched, cmd.Process.Pid)
	u, readErr := consume(r)
	err = cmd.Wait()
	u.wall = time.Since(start)
	u.peak = watched()
	if err != nil || readErr != nil {
		return u, fmt.Errorf("%s: %w %w\n%s", strings.Join(argv, " "), err, readErr, u.tail)
	}
	u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return u, nil
}

func consume(r io.Reader) (u usage, err error) {
	const kept = 400
	var tail []byte
	defer func() { u.tail = string(tail) }()
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		u.bytes += n
		tail = append(tail, buf[max(0, n-kept):n]...)
		tail = tail[max(0, len(tail)-kept):]
		if err == io.EOF {
			return u, nil
		}
		if err != nil {
			return u, err
		}
	}
}

// watch looks at the peak of a program's memory until the function that it
// returns is called, which gives it in KiB.
func watch(wanted bool, pid int) func() int {
	if !wanted {
		return func() int { return 0 }
	}
	end, peak := make(chan struct{}), make(chan int)
	go func() {
		most := 0
		for {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // it may have ended
			if kib, err := (usage{tail: string(b)}).memory(); err == nil {
				most = max(most, kib)
			}
			select {
			case <-end:
				peak <- most
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() int {
		close(end)
		return <-peak
	}
}
