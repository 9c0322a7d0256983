package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"envrole/executor"
	"envrole/roles/fault"
)

// The test binary is also a driver that writes down what it was given, and a
// stage that runs one program of a plan as EnvRole's own stages do.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "recording-driver":
			os.Exit(recordingDriver(os.Args[2], os.Args[3:]))
		case "stage":
			os.Exit(stageProcess(os.Args[2], os.Args[3:]))
		}
	}
	os.Exit(m.Run())
}

// seen is what a driver was given.
type seen struct {
	Args, Env []string
	Dir       string
	Stdin     string
	Files     []string // open besides the three standard ones
	Group     int
	Script    string
	Mode      string // of the script
	DirMode   string // of its directory
}

func recordingDriver(file string, args []string) int {
	stdin, _ := os.Readlink("/proc/self/fd/0")
	dir, _ := os.Getwd()
	s := seen{Args: args, Env: os.Environ(), Dir: dir, Stdin: stdin, Group: syscall.Getpgrp()}
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && e.Name() > "2" && !strings.HasPrefix(to, "anon_inode:") && to != fmt.Sprintf("/proc/%d/fd", os.Getpid()) {
			s.Files = append(s.Files, e.Name()+" "+to)
		}
	}
	if len(args) == 3 {
		b, _ := os.ReadFile(args[1])
		s.Script = string(b)
		if info, err := os.Stat(args[1]); err == nil {
			s.Mode = info.Mode().String()
		}
		if info, err := os.Stat(filepath.Dir(args[1])); err == nil {
			s.DirMode = info.Mode().String()
		}
	}
	b, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	fmt.Println("recorded", strings.Join(args[:1], " "))
	return 0
}

// odd is the exit code of a stage process for errors that are no StageError.
const odd = 200

// stageProcess runs "prepare", "cleanup" or "run SCRIPT SUB_STAGE [K=v...]".
func stageProcess(plan string, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	e, err := Base{}.Open(json.RawMessage(plan))
	if err == nil {
		switch args[0] {
		case "prepare":
			err = e.Prepare(ctx, os.Stdout)
		case "cleanup":
			err = e.Cleanup(ctx, os.Stdout, os.Stderr)
		case "run":
			err = e.Run(ctx, executor.Script{Path: args[1], SubStage: args[2]}, args[3:], os.Stdout)
		}
	}
	var code *executor.StageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return code.Code
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", fault.ClassOf(err), err)
	return odd
}

// job is a directory as the runner makes one, and a plan for its jobs.
type job struct {
	t    *testing.T
	dir  string
	plan Plan
}

func newJob(t *testing.T) *job {
	t.Helper()
	return &job{t: t, dir: t.TempDir(), plan: Plan{Run: []string{"/bin/false"}, Inject: InjectScript, Mark: mark(t.Name())}}
}

// program writes an executable script.
func (j *job) program(text string) string {
	j.t.Helper()
	path := filepath.Join(j.t.TempDir(), "driver")
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		j.t.Fatal(err)
	}
	return path
}

// script writes a script as the runner does.
func (j *job) script(name, text string) string {
	j.t.Helper()
	dir, err := os.MkdirTemp(j.dir, "script")
	if err != nil {
		j.t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		j.t.Fatal(err)
	}
	return path
}

// stage is the command of a stage process, in a process group of its own.
func (j *job) stage(args ...string) *exec.Cmd {
	j.t.Helper()
	plan, err := json.Marshal(j.plan)
	if err != nil {
		j.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		j.t.Fatal(err)
	}
	cmd := exec.Command(self, append([]string{"stage", string(plan)}, args...)...)
	cmd.Dir = j.dir
	cmd.Env = append(os.Environ(), "TMPDIR="+j.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// run runs a stage process to its end.
func (j *job) run(args ...string) (code int, stdout, stderr string) {
	j.t.Helper()
	var out, errs bytes.Buffer
	cmd := j.stage(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		j.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// noCopies fails if a copy of a script is left.
func (j *job) noCopies() {
	j.t.Helper()
	left, err := filepath.Glob(filepath.Join(j.dir, copyPrefix+"*"))
	if err != nil || len(left) > 0 {
		j.t.Errorf("left behind: %v %v", left, err)
	}
}

func record(t *testing.T, file string) seen {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s seen
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	slices.Sort(s.Env)
	return s
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// missing skips a test that lacks a real part, but not in CI.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI lacks %s", what)
	}
	t.Skipf("SKIPPED: this host lacks %s", what)
}

// inProcess runs a script with the executor in this process.
func (j *job) inProcess(path string, env []string, out io.Writer) error {
	j.t.Helper()
	raw, err := json.Marshal(j.plan)
	if err != nil {
		j.t.Fatal(err)
	}
	e, err := Base{}.Open(raw)
	if err != nil {
		j.t.Fatal(err)
	}
	j.t.Setenv("TMPDIR", j.dir)
	return e.Run(j.t.Context(), executor.Script{Path: path, SubStage: "build_script"}, env, out)
}
