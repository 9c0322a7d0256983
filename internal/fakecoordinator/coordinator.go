// Package fakecoordinator is a stand-in for the part of GitLab that a runner
// talks to: it hands out one job, takes the job's log and its end. With it a
// genuine gitlab-runner runs a job against the stage binaries, in tests and in
// `make demo RUNNER=1`. It is never linked into a stage binary.
package fakecoordinator

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// Coordinator serves the runner's API below /api/v4 and hands every other
// request on.
type Coordinator struct {
	mu      sync.Mutex
	payload []byte
	handed  bool
	log     []byte
	state   string
	code    int
	reason  string
	done    chan struct{}

	mux http.Handler
}

// New serves payload as the only job; next answers everything else.
func New(payload []byte, next http.Handler) *Coordinator {
	c := &Coordinator{payload: payload, done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v4/jobs/request", c.request)
	mux.HandleFunc("PATCH /api/v4/jobs/{id}/trace", c.trace)
	mux.HandleFunc("PUT /api/v4/jobs/{id}", c.update)
	mux.HandleFunc("POST /api/v4/runners/verify", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.Handle("/", next)
	c.mux = mux
	return c
}

// ServeHTTP implements http.Handler.
func (c *Coordinator) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.mux.ServeHTTP(w, r) }

// Done is closed when the runner has reported the job's end.
func (c *Coordinator) Done() <-chan struct{} { return c.done }

// Result gives the job's state ("success", "failed"), the script's exit code,
// the failure reason and the log, as the runner reported them.
func (c *Coordinator) Result() (state string, code int, reason, log string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.code, c.reason, string(c.log)
}

func (c *Coordinator) request(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handed {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	c.handed = true
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(c.payload)
}

func (c *Coordinator) trace(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var start int
	if _, err := fmt.Sscanf(r.Header.Get("Content-Range"), "%d-", &start); err != nil || start != len(c.log) {
		w.Header().Set("Range", fmt.Sprintf("0-%d", len(c.log)))
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	c.log = append(c.log, body...)
	w.Header().Set("Range", fmt.Sprintf("0-%d", len(c.log)))
	w.Header().Set("Job-Status", "running")
	w.WriteHeader(http.StatusAccepted)
}

func (c *Coordinator) update(w http.ResponseWriter, r *http.Request) {
	var body struct {
		State         string `json:"state"`
		FailureReason string `json:"failure_reason"`
		ExitCode      int    `json:"exit_code"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if body.State == "success" || strings.HasPrefix(body.State, "fail") {
		if c.state == "" {
			close(c.done)
		}
		c.state, c.code, c.reason = body.State, body.ExitCode, body.FailureReason
	}
	w.WriteHeader(http.StatusOK)
}
