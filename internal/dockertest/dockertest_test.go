package dockertest

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestContainersRunFromImagesMadeHere(t *testing.T) {
	d := Start(t)
	d.Import(t, "busybox:latest", Busybox())
	d.Import(t, "full:latest", Full().With("USER ci", "ENV GREETING=hello"))
	for _, c := range []struct{ image, script, want string }{
		{"busybox", "id -u; command -v bash || echo none", "0\nnone\n"},
		{"full", `bash -c 'id -un; echo $GREETING; cd; git init -q x; git -C x status --short; echo $?'`, "ci\nhello\n0\n"},
	} {
		out, err := d.Docker(t, "run", "--rm", c.image, "sh", "-c", c.script)
		if err != nil || out != c.want {
			t.Errorf("%s: %v, %q, want %q", c.image, err, out, c.want)
		}
	}
}

func TestListenersBesideTheDaemonAreReachedByContainers(t *testing.T) {
	d := Start(t)
	d.Import(t, "busybox:latest", Busybox())
	d.AddAddress(t, "169.254.169.254/32")
	l := d.Listen(t, "169.254.169.254:80")
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metadata") })}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	out, err := d.Docker(t, "run", "--rm", "busybox", "wget", "-qO-", "http://169.254.169.254/")
	if err != nil || out != "metadata" {
		t.Fatalf("%v, %q", err, out)
	}
}

func TestADaemonCanBeKilledAndContinued(t *testing.T) {
	d := Own(t)
	d.Import(t, "busybox:latest", Busybox())
	if out, err := d.Docker(t, "run", "-d", "--name", "long", "busybox", "sleep", "1000"); err != nil {
		t.Fatal(err, out)
	}
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	if out, err := d.Docker(t, "ps"); err == nil {
		t.Fatalf("a killed daemon answers: %s", out)
	}
	if err := d.Continue(); err != nil {
		t.Fatal(err, d.Log())
	}
	out, err := d.Docker(t, "ps", "-a", "--format", "{{.Names}}")
	if err != nil || !strings.Contains(out, "long") {
		t.Fatalf("%v, %q", err, out)
	}
}
