package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"envrole/executor/docker"
	"envrole/internal/dockertest"
	"envrole/roles/fault"
)

func TestExitCodesAreExact(t *testing.T) {
	d := engineFor(t)
	e, _ := prepared(t, d, nil)
	for _, want := range []int{0, 1, 2, 77, 124, 125, 126, 137, 143, 255} {
		if _, err := script(t, e, "build_script", fmt.Sprintf("exit %d", want)); code(err) != want {
			t.Errorf("exit %d: %v", want, err)
		}
	}
	_, err := script(t, e, "build_script", "kill -9 $$")
	if fault.ClassOf(err) != fault.Passing || !strings.Contains(err.Error(), "signal 9") {
		t.Errorf("a killed shell: %v", err)
	}
}

func TestScriptsAndOutputOfAnySizePassUnchanged(t *testing.T) {
	d := engineFor(t)
	e, _ := prepared(t, d, nil)
	long := strings.Repeat("# "+strings.Repeat("x", 1000)+"\n", 5<<10) + "echo end\n"
	if out := must(t, e, "build_script", long); out != "end\n" {
		t.Errorf("after a script of %d bytes: %q", len(long), out)
	}
	if out := must(t, e, "build_script", `printf '\000\377\r\n\033[0;msection'`); out != "\x00\xff\r\n\x1b[0;msection" {
		t.Errorf("binary output: %q", out)
	}
	if out := must(t, e, "build_script", "for i in $(seq 500); do echo a$i; echo b$i >&2; done"); out != ordered(500) {
		t.Error("standard output and error are out of order")
	}
	out := must(t, e, "build_script", "head -c 10000000 /dev/zero | tr '\\0' 'y'; head -c 1 </dev/zero")
	sum := sha256.Sum256(append(bytes.Repeat([]byte("y"), 10_000_000), 0))
	if got := sha256.Sum256([]byte(out)); got != sum {
		t.Errorf("10 MB: %d bytes, %s", len(out), hex.EncodeToString(got[:]))
	}
	if out := must(t, e, "build_script", "cat; echo stdin is empty"); out != "stdin is empty\n" {
		t.Errorf("standard input: %q", out)
	}
}

func ordered(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "a%d\nb%d\n", i, i)
	}
	return b.String()
}

func TestTheLastValueOfAVariableWins(t *testing.T) {
	d := dockertest.Start(t)
	d.Import(t, "env:latest", dockertest.Full().With("ENV FROM_IMAGE=image", "ENV BOTH=image"))
	t.Setenv("OF_THE_RUNNER", "passed")
	t.Setenv("RUNNER_SECRET", "kept")
	e, _ := prepared(t, d, func(p *docker.Plan) { p.Image.Name = "env:latest"; p.PassEnv = []string{"OF_THE_RUNNER"} })
	out := must(t, e, "build_script", `echo "$FROM_IMAGE $BOTH $OF_THE_RUNNER ${RUNNER_SECRET-none} $X"`, "BOTH=given", "X=1", "X=a b'\"$\n2")
	if out != "image given passed none a b'\"$\n2\n" {
		t.Errorf("%q", out)
	}
}

func TestAnEntrypointMayPrepareTheContainer(t *testing.T) {
	d := engineFor(t)
	entry := dockertest.Full().WithFile("/entry", dockertest.File{Mode: 0o755, Content: "#!/bin/sh\necho hello from the entrypoint\nexport SET_BY_ENTRYPOINT=yes\nexec \"$@\"\n"})
	d.Import(t, "entry:latest", entry.With(`ENTRYPOINT ["/entry"]`))
	d.Import(t, "tool:latest", dockertest.Full().With(`ENTRYPOINT ["/usr/bin/git"]`))
	e, log := prepared(t, d, func(p *docker.Plan) { p.Image.Name = "entry:latest" })
	if !strings.Contains(log, "hello from the entrypoint") {
		t.Errorf("its output is not in the log: %q", log)
	}
	if out := must(t, e, "build_script", "echo $SET_BY_ENTRYPOINT"); out != "yes\n" {
		t.Errorf("its variables: %q", out)
	}
	e, log = prepared(t, d, func(p *docker.Plan) { p.Image.Name = "tool:latest"; p.Image.Entrypoint = []string{""} })
	if out := must(t, e, "build_script", "echo runs"); out != "runs\n" || log != "" {
		t.Errorf("put aside: %q, log %q", out, log)
	}
	// A shell that takes the command for its script runs the first word alone.
	for want, entrypoint := range map[string][]string{
		"runs\n":     {"sh", "-c"},
		"runs yes\n": {"sh", "-c", "export SET_BY_ENTRYPOINT=yes; printf 'no end of line' && exec sh -c $0"},
	} {
		e, log = prepared(t, d, func(p *docker.Plan) { p.Image.Entrypoint = entrypoint })
		if out := must(t, e, "build_script", "echo runs $SET_BY_ENTRYPOINT"); out != want || strings.Contains(log, "ready") {
			t.Errorf("%q: %q, log %q", entrypoint, out, log)
		}
	}
	bad := &Engine{plan: plan(t, d, func(p *docker.Plan) { p.Image.Name = "tool:latest" })}
	var out safeBuffer
	err := bad.Prepare(t.Context(), &out)
	if fault.ClassOf(err) != fault.Permanent || !strings.Contains(fault.HelpOf(err), "entrypoint") {
		t.Errorf("an entrypoint that does not run its arguments: %v", err)
	}
	if err := bad.Cleanup(t.Context(), &out, &out); err != nil {
		t.Error(err)
	}
}

func TestWhatAnImageLacksIsSaidBeforeTheJob(t *testing.T) {
	d := dockertest.Start(t)
	d.Import(t, "busybox:latest", dockertest.Busybox())
	p := plan(t, d, func(p *docker.Plan) { p.Image.Name = "busybox:latest" })
	e := &Engine{plan: p}
	var out safeBuffer
	err := e.Prepare(t.Context(), &out)
	if fault.ClassOf(err) != fault.Permanent || !strings.Contains(err.Error(), "bash") || !strings.Contains(fault.HelpOf(err), `"sh"`) {
		t.Errorf("no bash: %v", err)
	}
	if err := e.Cleanup(t.Context(), &out, &out); err != nil {
		t.Error(err)
	}
	e, log := prepared(t, d, func(p *docker.Plan) {
		p.Image.Name, p.Shell = "busybox:latest", "sh"
		p.PayloadFile = file(t, `{"artifacts":[{"paths":["x"]}]}`)
	})
	if !strings.Contains(log, "no git") || !strings.Contains(log, "LOST") {
		t.Errorf("the log does not say it: %q", log)
	}
	if got := must(t, e, "build_script", "echo in sh"); got != "in sh\n" {
		t.Errorf("%q", got)
	}
}
