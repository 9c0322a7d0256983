package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"envrole/executor/docker"
	"envrole/internal/dockertest"
)

// cutter stands before the Engine. At its n-th request it does something else
// than to pass it on.
type cutter struct {
	at    int
	how   string // one of the constants
	stop  context.CancelFunc
	proxy *httputil.ReverseProxy

	mu   sync.Mutex
	n    int
	dead bool   // nobody is there to ask any more
	late func() // what the Engine has been asked for, and has not done yet
	told string // which request it was
}

const (
	cancelled  = "cancelled at"   // the stage is told to end
	killed     = "killed before"  // the stage is gone, and nothing more comes
	killedLate = "killed, late, " // likewise, and the Engine does it when cleanup has looked
)

func cutAt(t *testing.T, d *dockertest.Daemon, n int, how string) (c *cutter, address string) {
	t.Helper()
	c = &cutter{at: n, how: how, proxy: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "engine"}) },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(d.Address, "unix://"))
		}},
		FlushInterval: -1,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: c, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return c, "unix://" + socket
}

// ServeHTTP implements http.Handler.
func (c *cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.n++
	it, dead := c.n == c.at, c.dead
	if it {
		c.told = r.Method + " " + r.URL.Path
		c.dead = c.how != cancelled
	}
	c.mu.Unlock()
	switch {
	case it && c.how == killedLate && r.Method == http.MethodPost && !strings.HasSuffix(r.URL.Path, "/attach"):
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		again := r.Clone(context.WithoutCancel(r.Context()))
		again.Body = io.NopCloser(strings.NewReader(string(body)))
		c.mu.Lock()
		c.late = sync.OnceFunc(func() {
			defer func() { _ = recover() }() // the Engine may refuse it
			c.proxy.ServeHTTP(&discard{header: http.Header{}}, again)
		})
		c.mu.Unlock()
		panic(http.ErrAbortHandler)
	case it && c.how == cancelled:
		c.stop()
	case dead, it:
		panic(http.ErrAbortHandler)
	}
	c.proxy.ServeHTTP(w, r)
}

// seen is how many requests came, and which one was cut.
func (c *cutter) seen() (n int, told string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n, c.told
}

// afterLook does what is late.
func (c *cutter) afterLook() {
	c.mu.Lock()
	late := c.late
	c.mu.Unlock()
	if late != nil {
		late()
	}
}

// cleaning lets requests pass again: they are cleanup's. What is late is done
// when its first list has been answered.
func (c *cutter) cleaning() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.proxy.ServeHTTP(w, r)
		if strings.HasSuffix(r.URL.Path, "/containers/json") {
			c.afterLook()
		}
	})
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header       { return d.header }
func (*discard) Write(p []byte) (int, error) { return len(p), nil }
func (*discard) WriteHeader(int)             {}

// Wherever a prepare is cancelled or killed between two calls of the Engine,
// cleanup leaves nothing of the job, and a sweep nothing of one without cleanup.
func TestNothingIsLeftWhereverPrepareIsCut(t *testing.T) {
	d := dockertest.Own(t)
	d.Import(t, fullImage, dockertest.Full())
	d.Import(t, ciImage, dockertest.Full().With("USER ci")) // a user who is looked up
	service := docker.Container{Name: fullImage, Pull: []string{"never"}, Entrypoint: []string{"sleep", "1000"}, Aliases: []string{"s"}}
	job := func(address string) *Engine {
		return ofProject(t, d, func(p *docker.Plan) {
			p.Engine, p.Services, p.Volumes, p.Image.Name = address, []docker.Container{service}, []string{"/own"}, ciImage
			p.Helper = &docker.Container{Name: fullImage, Pull: []string{"never"}}
		})
	}
	whole, address := cutAt(t, d, 0, cancelled)
	e := job(address)
	if err := e.Prepare(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := e.Cleanup(t.Context(), io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	if left := ownedByJobs(t, d); len(left) > 0 {
		t.Fatalf("left without any cut: %q", left)
	}
	calls, _ := whole.seen()
	hows := []string{cancelled, killed, killedLate}
	// All of them at every call take minutes: a run has one of six parts, or all
	// with ENVROLE_TEST_ALL_CUTS=1.
	parts := 1
	if os.Getenv("ENVROLE_TEST_ALL_CUTS") != "" {
		parts = 2 * len(hows)
	}
	for cut := range parts * calls {
		first, n := cut/calls, 1+cut%calls
		if n%2 == first%2 {
			continue
		}
		how := hows[(first+n)/2%len(hows)]
		c, address := cutAt(t, d, n, how)
		ctx, cancel := context.WithCancel(t.Context())
		c.stop = cancel
		e := job(address)
		err := e.Prepare(ctx, io.Discard)
		cancel()
		_, told := c.seen()
		what := fmt.Sprintf("%s call %d (%s)", how, n, told)
		if err == nil && told != "" && how != cancelled {
			t.Errorf("%s: prepare succeeds", what)
		}
		if how == cancelled && err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
		c.clean(t, e, what, n/2%2 == 0)
		if left := ownedByJobs(t, d); len(left) > 0 {
			t.Fatalf("%s: left: %q", what, left)
		}
	}
	next, _ := preparedPlan(t, job(d.Address).plan)
	if next.slot != "-0" {
		t.Error(next.slot)
	}
}

// clean removes what is left of a job: by its cleanup, or by a sweep.
func (c *cutter) clean(t *testing.T, e *Engine, what string, bySweep bool) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: c.cleaning(), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	defer func() { _ = server.Close() }()
	p := docker.Plan{Engine: "unix://" + socket, Host: e.plan.Host, Mark: e.plan.Mark}
	if bySweep {
		err = Sweep(t.Context(), p, func(string) bool { return false }, io.Discard)
	} else {
		err = New(p).Cleanup(t.Context(), io.Discard, io.Discard)
	}
	if err != nil {
		t.Errorf("%s: clean: %v", what, err)
	}
}
