package engine

import (
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"envrole/executor"
	"envrole/executor/docker"
	"envrole/roles/fault"
)

// That nobody answers is told apart from an Engine that is in trouble: a host
// that never had one has nothing to sweep there.
func TestASweepSaysIfNobodyAnswers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "docker.sock")
	p := docker.Plan{Engine: "unix://" + path, Host: "host"}
	dead := func(string) bool { return false }
	err := Sweep(t.Context(), p, dead, io.Discard)
	if !errors.Is(err, executor.ErrUnreached) || fault.ClassOf(err) != fault.Passing || fault.HelpOf(err) == "" {
		t.Errorf("no Engine: %v", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"message":"in trouble"}`, http.StatusInternalServerError)
	})}
	t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(ln) }()
	if err := Sweep(t.Context(), p, dead, io.Discard); err == nil || errors.Is(err, executor.ErrUnreached) {
		t.Errorf("an Engine in trouble: %v", err)
	}
}
