package engine

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"envrole/executor/docker"
	"envrole/internal/dockertest"
	"envrole/roles/fault"
)

// fakeRegistry is one that holds a single image under every name, for whoever has
// the login. It remembers what logins it was shown.
type fakeRegistry struct {
	user, password string
	blobs          map[string][]byte
	manifest       []byte

	mu    sync.Mutex
	shown []string
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func serveRegistry(t *testing.T, d *dockertest.Daemon, address, user, password string) *fakeRegistry {
	t.Helper()
	var layer bytes.Buffer
	im := dockertest.Busybox()
	if err := im.Tar(&layer); err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": map[string]any{"Env": []string{"PATH=/bin"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digestOf(layer.Bytes())}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &fakeRegistry{user: user, password: password, blobs: map[string][]byte{digestOf(config): config, digestOf(layer.Bytes()): layer.Bytes()}}
	r.manifest = []byte(fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",
"config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":%d,"digest":%q},
"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","size":%d,"digest":%q}]}`,
		len(config), digestOf(config), layer.Len(), digestOf(layer.Bytes())))
	l := d.Listen(t, address)
	srv := &http.Server{Handler: r}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	return r
}

func (r *fakeRegistry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	user, password, given := req.BasicAuth()
	if given {
		r.mu.Lock()
		r.shown = append(r.shown, user+":"+password)
		r.mu.Unlock()
	}
	switch {
	case r.user != "" && (user != r.user || password != r.password):
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required for %s"}]}`, password) // a careless one
	case strings.Contains(req.URL.Path, "missing"):
		http.Error(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`, http.StatusNotFound)
	case strings.Contains(req.URL.Path, "/manifests/"):
		w.Header().Set("Content-Type", "application/vnd.docker.distribution.manifest.v2+json")
		w.Header().Set("Docker-Content-Digest", digestOf(r.manifest))
		_, _ = w.Write(r.manifest)
	case strings.Contains(req.URL.Path, "/blobs/"):
		_, _ = w.Write(r.blobs[req.URL.Path[strings.LastIndex(req.URL.Path, "/")+1:]])
	}
}

func TestALoginGoesToItsRegistryOnly(t *testing.T) {
	d := dockertest.Own(t, "--debug")
	const password = "glcbt-SENTINEL-password"
	mine := serveRegistry(t, d, "127.0.0.1:5000", "gitlab-ci-token", password)
	theirs := serveRegistry(t, d, "127.0.0.1:5001", "", "")
	payload := file(t, `{"credentials":[{"type":"registry","url":"127.0.0.1:5000","username":"gitlab-ci-token","password":"`+password+`"}]}`)
	pull := []string{"always"}
	e, log := prepared(t, d, func(p *docker.Plan) {
		inSh(p)
		p.PayloadFile = payload
		p.Image = docker.Container{Name: "127.0.0.1:5000/acme/shop:latest", Pull: pull}
		p.Helper = &docker.Container{Name: "127.0.0.1:5001/helper:latest", Pull: pull}
	})
	if out := must(t, e, "build_script", "echo pulled"); out != "pulled\n" {
		t.Errorf("%q", out)
	}
	for _, want := range []string{"pulling image 127.0.0.1:5000/acme/shop:latest", "pulled image 127.0.0.1:5000/acme/shop:latest (sha256:"} {
		if !strings.Contains(log, want) {
			t.Errorf("no %q in %q", want, log)
		}
	}
	if len(mine.shown) == 0 || len(theirs.shown) != 0 {
		t.Errorf("shown: %q, theirs %q", mine.shown, theirs.shown)
	}
	if strings.Contains(log+d.Log(), "SENTINEL") {
		t.Error("the password is in a log")
	}
	bad := file(t, `{"credentials":[{"type":"registry","url":"127.0.0.1:5000","username":"gitlab-ci-token","password":"SENTINEL-wrong"}]}`)
	for _, c := range []struct {
		name, payload, want string
		pull                []string
	}{
		{"127.0.0.1:5000/other:1", bad, "", pull},
		{"127.0.0.1:5000/other:1", file(t, `{}`), "", pull},
		{"127.0.0.1:5001/missing:1", bad, "manifest unknown", pull},
		{"127.0.0.1:5001/never:1", bad, "does not have it", []string{"never"}},
	} {
		e := &Engine{plan: plan(t, d, func(p *docker.Plan) {
			inSh(p)
			p.PayloadFile, p.Image = c.payload, docker.Container{Name: c.name, Pull: c.pull}
		})}
		var out safeBuffer
		err := e.Prepare(t.Context(), &out)
		if fault.ClassOf(err) != fault.Permanent || fault.HelpOf(err) == "" || !strings.Contains(err.Error(), c.name) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v (%v)", c.name, err, fault.ClassOf(err))
		}
		if err != nil && strings.Contains(err.Error()+fault.HelpOf(err)+out.String(), "SENTINEL") {
			t.Errorf("%s: the password is in %v or %s", c.name, err, out.String())
		}
		_ = e.Cleanup(t.Context(), &out, &out)
	}
}

func TestPullPoliciesAreTriedInOrder(t *testing.T) {
	d := dockertest.Start(t)
	d.Import(t, busyImage, dockertest.Busybox())
	// Nobody listens there: pulling fails, what is present serves.
	if out, err := d.Docker(t, "tag", busyImage, "127.0.0.1:5999/here:1"); err != nil {
		t.Fatal(out)
	}
	for _, pull := range [][]string{{"if-not-present"}, {"never"}, {"always", "if-not-present"}} {
		e, _ := prepared(t, d, func(p *docker.Plan) {
			inSh(p)
			p.Image = docker.Container{Name: "127.0.0.1:5999/here:1", Pull: pull}
		})
		must(t, e, "build_script", "echo")
	}
	e := &Engine{plan: plan(t, d, func(p *docker.Plan) {
		inSh(p)
		p.Image = docker.Container{Name: "127.0.0.1:5999/here:1", Pull: []string{"always"}}
	})}
	var out safeBuffer
	if err := e.Prepare(t.Context(), &out); fault.ClassOf(err) != fault.Passing {
		t.Errorf("%v", err)
	}
	_ = e.Cleanup(t.Context(), &out, &out)
}

// A default or helper image may be private: the administrator's file has a login.
func TestTheAdministratorsLoginsServeEveryJob(t *testing.T) {
	d := dockertest.Start(t)
	const password = "SENTINEL-admin"
	auth := file(t, `{"auths":{"127.0.0.1:5002":{"username":"admin","password":"`+password+`"}},"credHelpers":{"127.0.0.1:5003":"ecr-login"}}`)
	served := serveRegistry(t, d, "127.0.0.1:5002", "admin", password)
	image := docker.Container{Name: "127.0.0.1:5002/private:latest", Pull: []string{"always"}}
	payload := file(t, `{"credentials":[{"type":"registry","url":"127.0.0.1:5002","username":"gitlab-ci-token","password":"x"}]}`)
	e, log := prepared(t, d, func(p *docker.Plan) { inSh(p); p.PayloadFile, p.AuthFile, p.Image = payload, auth, image })
	must(t, e, "build_script", "true")
	if len(served.shown) == 0 || strings.Contains(log+encode(t, e.plan), "SENTINEL") || !strings.Contains(log, "executor.docker.auth_file: credHelpers is not used") {
		t.Errorf("%q %s", served.shown, log)
	}
	if err := os.Chmod(auth, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{auth, "/nonexistent/auth.json"} {
		e := &Engine{plan: plan(t, d, func(p *docker.Plan) { inSh(p); p.PayloadFile, p.AuthFile, p.Image = payload, path, image })}
		if err := e.Prepare(t.Context(), io.Discard); fault.ClassOf(err) != fault.Permanent || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestTheLongestScopeOfLoginsCounts(t *testing.T) {
	l, err := readPayload(file(t, `{"credentials":[{"type":"registry","url":"https://registry.example.com/","username":"a","password":"all"},
{"type":"other","url":"docker.io","username":"x","password":"no"}],
"variables":[{"key":"DOCKER_AUTH_CONFIG","value":"{\"auths\":{\"registry.example.com/acme\":{\"auth\":\"dTphY21l\"},\"https://index.docker.io/v1/\":{\"auth\":\"dTpodWI=\"}}}"}]}`), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, want string }{
		{"registry.example.com/other:1", "all"},
		{"registry.example.com/acme/shop:1", "acme"},
		{"registry.example.com/acmeevil/shop", "all"},
		{"registry.example.com.evil.org/acme", ""},
		{"registry.example.com:5000/acme", ""},
		{"alpine", "hub"},
		{"acme/alpine", "hub"},
		{"evil.org/docker.io/alpine", ""},
		{"registry.example.com/acme@sha256:" + strings.Repeat("a", 64), "acme"},
	} {
		if _, secret := l.logins.of(c.name); secret != c.want {
			t.Errorf("%s: %q, want %q", c.name, secret, c.want)
		}
	}
	if s := fmt.Sprint(l.logins) + fmt.Sprintf("%v %+v %#v %#v", l, l, l, l.logins); strings.Contains(s, "acme") {
		t.Errorf("printed: %s", s)
	}
}
