package proof

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"envrole/roles/fault"
	"envrole/roles/seal"
)

// noPauses lets the client skip its pauses and tells which it wanted.
func noPauses(pauses *[]time.Duration) func(context.Context, time.Duration) error {
	return func(_ context.Context, d time.Duration) error {
		*pauses = append(*pauses, d)
		return nil
	}
}

func skip(context.Context, time.Duration) error { return nil }

func TestTwoCallsWithTheTokenInOneHeader(t *testing.T) {
	g := production()
	p, err := client(t, Options{URL: serve(t, g).URL + "/", UserAgent: "envrole/1.2.3"}).Prove(t.Context(), subject())
	if err != nil || p.Calls != 2 || len(g.requests) != 2 {
		t.Fatalf("%+v, %v, %d requests", p, err, len(g.requests))
	}
	for i, want := range []string{"/api/v4/job/allowed_agents", "/api/v4/projects/150/environments?name=production"} {
		r := g.requests[i]
		if r.URL.String() != want || r.Method != http.MethodGet || r.Header.Get("User-Agent") != "envrole/1.2.3" || r.Header.Get("Accept") != "application/json" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		if r.Header.Get("Job-Token") != token {
			t.Error("no token")
		}
		r.Header.Del("Job-Token")
		if strings.Contains(fmt.Sprint(r.URL, r.Header, r.Host), token) {
			t.Errorf("the token is elsewhere too: %s %v", r.URL, r.Header)
		}
	}
}

func TestNoSecondCallWhereTheFirstAnswerSettlesIt(t *testing.T) {
	g := production()
	g.answer = answer(9876543, 150, 6001, 42, nil)
	p, err := client(t, Options{URL: serve(t, g).URL}).Prove(t.Context(), subject())
	if err == nil || p.Calls != 1 || len(g.requests) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestNoCallWithoutSomethingToAsk(t *testing.T) {
	g := production()
	c := client(t, Options{URL: serve(t, g).URL})
	for what, s := range map[string]Subject{
		"no claim":      {JobID: 1, ProjectID: 1, Token: seal.NewSecret(token)},
		"no project":    {JobID: 1, ClaimedName: "x", Token: seal.NewSecret(token)},
		"no token":      {JobID: 1, ProjectID: 1, ClaimedName: "x"},
		"odd token":     {JobID: 1, ProjectID: 1, ClaimedName: "x", Token: seal.NewSecret(token + "\r\nX: y")},
		"foreign token": {JobID: 1, ProjectID: 1, ClaimedName: "x", Token: seal.NewSecret(token + "é")},
	} {
		p, err := c.Prove(t.Context(), s)
		if err == nil || p.Calls != 0 || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %d calls, %v", what, p.Calls, err)
		}
	}
	if len(g.requests) != 0 {
		t.Errorf("%d requests", len(g.requests))
	}
}

func TestPathPrefixOfGitLabIsKept(t *testing.T) {
	g := production()
	s := serve(t, http.StripPrefix("/company/gitlab", g))
	if _, err := client(t, Options{URL: s.URL + "/company/gitlab/"}).Prove(t.Context(), subject()); err != nil {
		t.Error(err)
	}
	if _, err := client(t, Options{URL: s.URL}).Prove(t.Context(), subject()); err == nil || !strings.Contains(fault.HelpOf(err), "path prefix") {
		t.Errorf("%v", err)
	}
}

// failing answers each question with the statuses in turn, and then properly.
type failing struct {
	first, second []int
	header        http.Header
	good          http.Handler
	calls         atomic.Int32
}

func (f *failing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.calls.Add(1)
	list := &f.second
	if strings.HasSuffix(r.URL.Path, "allowed_agents") {
		list = &f.first
	}
	if len(*list) == 0 {
		f.good.ServeHTTP(w, r)
		return
	}
	status := (*list)[0]
	*list = (*list)[1:]
	for k, v := range f.header {
		w.Header()[k] = v
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`{"message":"token ` + token + `"}`))
}

func TestRefusalsOfEachEndpointSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		status        int
		second        bool
		class         fault.Class
		error_, helps string
	}{
		{401, false, fault.Refused, "401 Unauthorized to GET /api/v4/job/allowed_agents", "may have ended"},
		{403, false, fault.Refused, "403 Forbidden", "blocked"},
		{404, false, fault.Refused, "404 Not Found", "path prefix"},
		{401, true, fault.Refused, "401 Unauthorized to GET /api/v4/projects/:id/environments", "before 16.2"},
		{403, true, fault.Refused, "403 Forbidden", "Job token permissions"},
		{404, true, fault.Refused, "404 Not Found", "Job token permissions"},
		{400, true, fault.Permanent, "400 Bad Request", "gitlab"},
		{405, false, fault.Permanent, "405", "gitlab"},
		{407, false, fault.Permanent, "407", "proxy"},
		{204, false, fault.Permanent, "204 No Content", "gitlab"},
		{301, false, fault.Permanent, "301 Moved Permanently", "Redirects are not followed"},
		{304, true, fault.Permanent, "304", "Redirects are not followed"},
		{418, false, fault.Permanent, "418", "gitlab"},
	} {
		f := &failing{good: production()}
		if c.second {
			f.second = []int{c.status}
		} else {
			f.first = []int{c.status}
		}
		p, err := client(t, Options{URL: serve(t, f).URL, Sleep: skip}).Prove(t.Context(), subject())
		if fault.ClassOf(err) != c.class || err == nil || !strings.Contains(err.Error(), c.error_) || !strings.Contains(fault.HelpOf(err), c.helps) {
			t.Errorf("%d: %s %v %s", c.status, fault.ClassOf(err), err, fault.HelpOf(err))
		}
		if p.Calls != int(f.calls.Load()) || p.Environment != "" || strings.Contains(err.Error()+fault.HelpOf(err), token) {
			t.Errorf("%d: %+v %v", c.status, p, err)
		}
	}
}

func TestPassingFailuresAreTriedThreeTimes(t *testing.T) {
	for _, status := range []int{429, 500, 502, 503, 504, 520, 599, 408} {
		f := &failing{first: []int{status, status}, second: []int{status}, good: production()}
		p, err := client(t, Options{URL: serve(t, f).URL, Sleep: skip}).Prove(t.Context(), subject())
		if err != nil || p.Calls != 5 || p.Environment != "production" {
			t.Errorf("%d: %+v, %v", status, p, err)
		}
		f = &failing{first: []int{status, status, status}, good: production()}
		p, err = client(t, Options{URL: serve(t, f).URL, Sleep: skip}).Prove(t.Context(), subject())
		if fault.ClassOf(err) != fault.Passing || p.Calls != 3 || f.calls.Load() != 3 || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("%d: %+v, %v", status, p, err)
		}
	}
}

func TestPausesGrowAndHonourRetryAfter(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string][2]time.Duration{ // least and most of the first pause
		"":                              {125 * time.Millisecond, 375 * time.Millisecond},
		"3":                             {3 * time.Second, 3 * time.Second},
		"0":                             {125 * time.Millisecond, 375 * time.Millisecond},
		"-5":                            {125 * time.Millisecond, 375 * time.Millisecond},
		"soon":                          {125 * time.Millisecond, 375 * time.Millisecond},
		"1h":                            {125 * time.Millisecond, 375 * time.Millisecond},
		"Sun, 01 Mar 2026 12:00:07 GMT": {7 * time.Second, 7 * time.Second},
		"Sun, 01 Mar 2026 11:59:00 GMT": {125 * time.Millisecond, 375 * time.Millisecond},
	} {
		var pauses []time.Duration
		f := &failing{first: []int{503, 503}, header: http.Header{"Retry-After": {header}}, good: production()}
		o := Options{URL: serve(t, f).URL, Timeout: time.Minute, Sleep: noPauses(&pauses), Now: func() time.Time { return at }}
		if _, err := client(t, o).Prove(t.Context(), subject()); err != nil || len(pauses) != 2 {
			t.Fatalf("%q: %v, %v", header, pauses, err)
		}
		if pauses[0] < want[0] || pauses[0] > want[1] || pauses[1] < want[0] || pauses[1] > 2*want[1] {
			t.Errorf("%q: %v, want %v", header, pauses, want)
		}
	}
}

func TestWaitBeyondTheTimeLimitIsNotBegun(t *testing.T) {
	for _, header := range []string{"3600", "99999999999", "99999999999999999999999999", time.Now().Add(24 * time.Hour).UTC().Format(http.TimeFormat)} {
		var pauses []time.Duration
		f := &failing{first: []int{429}, header: http.Header{"Retry-After": {header}}, good: production()}
		p, err := client(t, Options{URL: serve(t, f).URL, Timeout: 30 * time.Second, Sleep: noPauses(&pauses)}).Prove(t.Context(), subject())
		if fault.ClassOf(err) != fault.Passing || p.Calls != 1 || len(pauses) != 0 || !strings.Contains(err.Error(), "429") || !strings.Contains(err.Error(), "time limit") {
			t.Errorf("%s: %d calls, pauses %v, %v", header, p.Calls, pauses, err)
		}
	}
}

func TestRedirectsAreNotFollowedAnywhere(t *testing.T) {
	var elsewhere atomic.Int32
	other := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	for _, target := range []string{other.URL + "/api/v4/job/allowed_agents", "/users/sign_in", "https://" + token + ".example/", "http://[::1", "http://[" + token} {
		var asked atomic.Int32
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.Header().Set("Location", target)
			w.WriteHeader(http.StatusFound)
		}))
		_, err := client(t, Options{URL: s.URL}).Prove(t.Context(), subject())
		if fault.ClassOf(err) != fault.Permanent || asked.Load() != 1 || elsewhere.Load() != 0 || !strings.Contains(fault.HelpOf(err), "final address") {
			t.Errorf("%s: %v, asked %d and %d", target, err, asked.Load(), elsewhere.Load())
		}
		if strings.Contains(fmt.Sprint(err, fault.HelpOf(err)), token) {
			t.Errorf("the token is in %v", err)
		}
	}
}

func TestAnswersThatAreNoAnswersAreRefused(t *testing.T) {
	for what, h := range map[string]http.HandlerFunc{
		"content type text/html": func(w http.ResponseWriter, _ *http.Request) { write(w, "text/html", "<html>sign in</html>") },
		`content type ""`: func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = w.Write([]byte(goodJob))
		},
		"more than 1048576 bytes": func(w http.ResponseWriter, _ *http.Request) {
			write(w, "application/json", goodJob+strings.Repeat(" ", 1<<20))
		},
		"repeats the job's token": func(w http.ResponseWriter, _ *http.Request) {
			write(w, "application/json", replaced(goodJob, "alice", token))
		},
		"it repeats": func(w http.ResponseWriter, _ *http.Request) { write(w, "text/"+token, goodJob) },
	} {
		p, err := client(t, Options{URL: serve(t, h).URL}).Prove(t.Context(), subject())
		if fault.ClassOf(err) != fault.Refused || p.Calls != 1 || !strings.Contains(err.Error(), strings.TrimPrefix(what, "content type ")) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %d calls, %v", what, p.Calls, err)
		}
	}
}

func write(w http.ResponseWriter, contentType, text string) {
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write([]byte(text))
}

func TestBrokenConnectionsAreTriedAgainAndThenPassing(t *testing.T) {
	for what, h := range map[string]http.HandlerFunc{
		"closed without an answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"closed in the body": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			write(w, "application/json", goodJob)
			panic(http.ErrAbortHandler)
		},
		"the token in a header that is none": func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n\x7f" + token + "\r\n\r\n"))
				_ = c.Close()
			}
		},
		"endless header": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
			write(w, "application/json", goodJob)
		},
	} {
		p, err := client(t, Options{URL: serve(t, h).URL, Sleep: skip}).Prove(t.Context(), subject())
		if fault.ClassOf(err) != fault.Passing || p.Calls != 3 || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %d calls, %v", what, p.Calls, err)
		}
	}
}

func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	return l.Addr().String()
}

func TestNobodyListeningIsPassing(t *testing.T) {
	p, err := client(t, Options{URL: "http://" + closedAddress(t), Sleep: skip}).Prove(t.Context(), subject())
	if fault.ClassOf(err) != fault.Passing || p.Calls != 3 || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "?name=production") {
		t.Errorf("%+v, %v", p, err)
	}
}

// silent accepts requests and never answers them.
func silent(t *testing.T) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	asked, done := &atomic.Int32{}, make(chan struct{})
	s := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-r.Context().Done():
		case <-done:
		}
	}))
	t.Cleanup(func() { close(done) })
	return s, asked
}

func TestServerThatHangsEndsWithTheTimeLimitAfterSeveralTries(t *testing.T) {
	s, asked := silent(t)
	p, err := client(t, Options{URL: s.URL, Timeout: 800 * time.Millisecond, Sleep: skip}).Prove(t.Context(), subject())
	if fault.ClassOf(err) != fault.Passing || err == nil {
		t.Errorf("%v", err)
	}
	if p.Calls < 2 || asked.Load() < 2 {
		t.Errorf("one hanging connection used up all the time: %d tries", p.Calls)
	}
}

func TestCancelledCallerIsNotKeptWaiting(t *testing.T) {
	s, asked := silent(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for asked.Load() == 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	p, err := client(t, Options{URL: s.URL, Timeout: time.Hour}).Prove(ctx, subject())
	if fault.ClassOf(err) != fault.Passing || p.Calls != 1 {
		t.Errorf("%d calls, %v", p.Calls, err)
	}
}

func TestOneClientServesManyJobsAtOnce(t *testing.T) {
	c := client(t, Options{URL: serve(t, production()).URL})
	errs := make(chan error, 16)
	for range cap(errs) {
		go func() {
			_, err := c.Prove(context.WithoutCancel(t.Context()), subject())
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
