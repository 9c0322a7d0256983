package agent

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the agent, as envrole-run is.
func TestMain(m *testing.M) {
	if code, mine := Main(os.Args); mine {
		os.Exit(code)
	}
	if len(os.Args) == 2 && os.Args[1] == blockOnly {
		os.Exit(report(block()))
	}
	if file := os.Getenv(headlessVariable); file != "" {
		headless(file)
		return
	}
	os.Exit(m.Run())
}

// startAgent runs the agent on input that stays open until the function is called.
func startAgent(t *testing.T, h Header, script string) (out *bytes.Buffer, end func(), wait func() Result) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, Flag, "exec")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var control bytes.Buffer
	out = &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, &control
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.Script = int64(len(script))
	if h.Shell == "" {
		h.Shell = "sh"
	}
	if err := WriteHeader(in, h); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, script); err != nil {
		t.Fatal(err)
	}
	return out, func() { _ = in.Close() }, func() Result {
		t.Helper()
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v %s", err, control.String())
		}
		lines := bytes.Split(bytes.TrimSpace(control.Bytes()), []byte("\n"))
		var r Result
		if err := json.Unmarshal(lines[len(lines)-1], &r); err != nil {
			t.Fatalf("%v in %s", err, control.String())
		}
		return r
	}
}

func TestAScriptEndsByItselfOrWithItsInput(t *testing.T) {
	out, _, wait := startAgent(t, Header{Env: []string{"X=from header"}, Grace: time.Second}, `echo "$X"; echo err >&2; exit 7`)
	if r := wait(); r != (Result{Exit: 7}) || out.String() != "from header\nerr\n" {
		t.Errorf("%+v %q", r, out.String())
	}
	_, _, wait = startAgent(t, Header{}, "kill -15 $$")
	if r := wait(); r != (Result{Signal: 15}) {
		t.Errorf("%+v", r)
	}
	_, end, wait := startAgent(t, Header{Grace: 50 * time.Millisecond}, `trap "" TERM; (trap "" TERM; setsid sleep 3600 & ) ; while :; do sleep 3600; done`)
	end()
	if r := wait(); !r.Ended {
		t.Errorf("%+v", r)
	}
	_, _, wait = startAgent(t, Header{Silence: 200 * time.Millisecond}, "sleep 3600")
	if r := wait(); !r.Ended {
		t.Errorf("silence: %+v", r)
	}
	_, _, wait = startAgent(t, Header{Env: []string{"PATH=/nowhere"}}, "exit 0")
	if r := wait(); !r.NoFile || r.Error == "" {
		t.Errorf("no shell: %+v", r)
	}
	_, _, wait = startAgent(t, Header{Shell: "/bin/evil"}, "exit 0")
	if r := wait(); r.Error == "" {
		t.Errorf("another shell: %+v", r)
	}
}

func TestAHeaderIsReadWithinBounds(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":   "",
		"too large": string(binary.BigEndian.AppendUint32(nil, maxHeader+1)),
		"cut short": string(binary.BigEndian.AppendUint32(nil, 10)) + "{}",
		"not JSON":  string(binary.BigEndian.AppendUint32(nil, 6)) + "SECRET",
	} {
		if _, err := readHeader(strings.NewReader(in)); err == nil || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := WriteHeader(io.Discard, Header{Env: []string{strings.Repeat("x", maxHeader)}}); err == nil {
		t.Error("an environment beyond the bound was written")
	}
}

func TestTheHelpersProgramStandsForTheRunners(t *testing.T) {
	dir := t.TempDir()
	if got := bridged(dir); got != dir {
		t.Errorf("neither is there: %q", got)
	}
	write := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho \"$0 $*\"\n"), 0o700); err != nil { // a program
			t.Fatal(err)
		}
	}
	write(helperProgram)
	if got := bridged(dir); got != dir+":"+shimDir() {
		t.Errorf("only the helper's: %q", got)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	shim := filepath.Join(t.TempDir(), runnerProgram)
	if err := os.Symlink(self, shim); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(shim, "artifacts-uploader", "a b")
	cmd.Env = []string{"PATH=" + dir}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.HasSuffix(string(out), helperProgram+" artifacts-uploader a b\n") {
		t.Errorf("%v %q", err, out)
	}
	write(runnerProgram)
	if got := bridged(dir); got != dir {
		t.Errorf("both: %q", got)
	}
}

func TestOfVariablesTheLastWins(t *testing.T) {
	got := environ([]string{"A=image", "B=image", "broken", "=x"}, []string{"B=entrypoint"}, Header{Env: []string{"C=1", "C=2", "PATH=/bin"}})
	if want := []string{"A=image", "B=entrypoint", "C=2", "PATH=/bin"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestGitTrustsTheJobsOwnCheckoutBesideWhatTheImageSays(t *testing.T) {
	h := Header{Repository: "/builds/acme/shop", Env: []string{"PATH=/bin"}}
	for _, c := range []struct{ image, want []string }{
		{nil, []string{"PATH=/bin", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=/builds/acme/shop", "GIT_CONFIG_KEY_1=safe.directory", "GIT_CONFIG_VALUE_1=/builds/acme/shop/*", "GIT_CONFIG_COUNT=2"}},
		{
			[]string{"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=user.name", "GIT_CONFIG_VALUE_0=ci"},
			[]string{
				"GIT_CONFIG_COUNT=3", "GIT_CONFIG_KEY_0=user.name", "GIT_CONFIG_VALUE_0=ci", "PATH=/bin", "GIT_CONFIG_KEY_1=safe.directory", "GIT_CONFIG_VALUE_1=/builds/acme/shop",
				"GIT_CONFIG_KEY_2=safe.directory", "GIT_CONFIG_VALUE_2=/builds/acme/shop/*",
			},
		},
		{[]string{"GIT_CONFIG_COUNT=x"}, []string{"GIT_CONFIG_COUNT=x", "PATH=/bin"}},
	} {
		if got := environ(c.image, nil, h); !slices.Equal(got, c.want) {
			t.Errorf("%q", got)
		}
	}
	if got := environ(nil, nil, Header{Env: []string{"PATH=/bin"}}); len(got) != 1 {
		t.Errorf("no checkout: %q", got)
	}
}

func TestOnlyTheAgentsArgumentsMakeTheAgent(t *testing.T) {
	for _, args := range [][]string{nil, {"envrole-run"}, {"envrole-run", "script", "build_script"}, {"envrole-run", Flag}, {"/x/gitlab-runner-helper", "x"}, {"/usr/local/bin/envrole-run"}} {
		if _, mine := Main(args); mine {
			t.Errorf("%q", args)
		}
	}
	if code, mine := Main([]string{"envrole-run", Flag, "unknown"}); !mine || code != codeUsage {
		t.Errorf("unknown verb: %d %t", code, mine)
	}
}
