package engine

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"envrole/executor/docker"
)

// listening is what answers "pong: X" to each connection in the job's container
// that sends a line "X".
func listening(t *testing.T, e *Engine) net.Listener {
	t.Helper()
	ln, err := e.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 100)
				if n, err := c.Read(b); err == nil {
					_, _ = fmt.Fprintf(c, "pong: %s", b[:n])
				}
			}()
		}
	}()
	return ln
}

// asking is a command that sends text to the listener and prints the answer.
func asking(ln net.Listener, text string) string {
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	return fmt.Sprintf("echo %s | busybox nc -w 10 %s %s", text, host, port)
}

func TestTheJobsLoopbackLeadsToItsRunStage(t *testing.T) {
	d := engineFor(t)
	for _, image := range []string{fullImage, ciImage} {
		e, _ := prepared(t, d, func(p *docker.Plan) {
			p.Image.Name = image
			p.Services = []docker.Container{{Name: fullImage, Pull: []string{"never"}, Aliases: []string{"other"}, Entrypoint: []string{"busybox"}, Command: []string{"sleep", "1000"}}}
		})
		ln := listening(t, e)
		if got := must(t, e, "build_script", asking(ln, "one")+"; "+asking(ln, "two")); got != "pong: one\npong: two\n" {
			t.Errorf("%s: %q", image, got)
		}
		// Neither this host nor a service, which other code of the job's author
		// runs in, has that port.
		if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
			_ = c.Close()
			t.Error("the port is on this host")
		}
		out, err := d.Docker(t, "exec", e.plan.ContainerName(docker.RoleService, 0), "sh", "-c", asking(ln, "service")+" || echo refused")
		if err != nil || strings.Contains(out, "pong") || !strings.Contains(out, "refused") {
			t.Errorf("a service: %v %q", err, out)
		}
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
		until(t, "the listening in the container ends", func() bool {
			out, err := d.Docker(t, "top", e.jobContainer())
			return err == nil && !strings.Contains(out, "--agent listen")
		})
		if got := must(t, e, "build_script", asking(ln, "three")+" || echo refused"); !strings.Contains(got, "refused") {
			t.Errorf("after the end: %q", got)
		}
	}
}

// A session passes through the process in the container.
func TestTheJobHasNoPowerOverWhatListensForIt(t *testing.T) {
	d := engineFor(t)
	find := `for p in /proc/[0-9]*; do grep -q -a listen $p/cmdline && echo ${p#/proc/}; done 2>/dev/null | head -1`
	for image, attacks := range map[string][]string{
		ciImage: {
			`kill -9 $L && echo killed`, `kill -STOP $L && echo stopped`, `cat /proc/$L/environ && echo read`, `readlink /proc/$L/fd/0 && echo read`,
			`cat /proc/$L/mem && echo read`, `head -c 1 /proc/$L/maps | grep . && echo read`, `echo x > /proc/$L/fd/1 && echo written`,
		},
		// root of the image, without the right to trace
		fullImage: {`readlink /proc/$L/fd/0 && echo read`, `cat /proc/$L/environ && echo read`, `cat /proc/$L/mem && echo read`, `echo x > /proc/$L/fd/1 && echo written`},
	} {
		e, _ := prepared(t, d, func(p *docker.Plan) { p.Image.Name = image })
		ln := listening(t, e)
		if got := must(t, e, "build_script", "L=$("+find+"); test -n \"$L\" && echo found"); !strings.Contains(got, "found") {
			t.Fatalf("%s: the attack finds nothing to attack", image)
		}
		for _, attack := range attacks {
			got := must(t, e, "build_script", "L=$("+find+"); ( "+attack+" ) 2>/dev/null; true")
			if got != "" {
				t.Errorf("%s: %s: %q", image, attack, got)
			}
		}
		if got := must(t, e, "build_script", asking(ln, "still")); got != "pong: still\n" {
			t.Errorf("%s: after the attacks: %q", image, got)
		}
	}
}

func TestAContainerThatIsGoneCannotBeListenedIn(t *testing.T) {
	d := engineFor(t)
	e, _ := prepared(t, d, nil)
	ln := listening(t, e)
	if err := e.Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := ln.Accept(); err == nil {
		t.Error("the listener outlives its container")
	}
	if _, err := e.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), e.jobContainer()) {
		t.Errorf("%v", err)
	}
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(context.Canceled)
	if _, err := e.Listen(ended); err == nil {
		t.Error("it listens for a stage that has ended")
	}
}

func TestWhatTheEngineKnowsOfTheListeningIsNothingSecret(t *testing.T) {
	d := engineFor(t)
	e, _ := prepared(t, d, nil)
	listening(t, e)
	c := decode[struct{ ExecIDs []string }](t, get(t, d, "/containers/"+e.jobContainer()+"/json"))
	if len(c.ExecIDs) != 1 {
		t.Fatalf("%d processes", len(c.ExecIDs))
	}
	got := decode[struct{ ProcessConfig struct{ Arguments []string } }](t, get(t, d, "/exec/"+c.ExecIDs[0]+"/json"))
	if args := strings.Join(got.ProcessConfig.Arguments, " "); args != "--agent listen 5m0s" {
		t.Errorf("%q", args)
	}
}
