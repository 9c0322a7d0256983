package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"time"

	"envrole/internal/fakeaws"
)

// clientFor makes this program a job's tool that asks the credentials endpoint
// in its environment, as a client of the named kind, and in turn with it the
// server whose address otherServer holds.
const (
	clientFor   = "ENVROLE_BENCH_CLIENT"
	otherServer = "ENVROLE_BENCH_OTHER"
	// otherHere as the address makes the client serve it too.
	otherHere = "here"
)

// asked is how many requests of each server are timed, in rounds, after some that
// are not.
const rounds, asked, warming = 7, 7 * 1000, 200

// requestTarget is for the 99th of 100 requests.
const requestTarget = time.Millisecond

// answers is what a client prints: the times that requests took.
type answers struct {
	Ours, Theirs series
	memory       int // peak of envrole-run, in KiB
}

// asker times requests and prints them as JSON, in nanoseconds. It says what
// went wrong and gives the exit code.
func asker(kind string) int {
	took, err := ask(kind)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(took)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func ask(kind string) (took answers, err error) {
	one := askPlainly
	if kind == "go" {
		one = askByGo
	}
	other := os.Getenv(otherServer)
	if other == otherHere {
		server := smallestServer()
		defer server.Close()
		other = server.URL + "/v1/credentials"
	}
	ours, token := os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"), os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN")
	for i := range warming + asked {
		for _, side := range []struct {
			uri  string
			took *series
		}{{ours, &took.Ours}, {other, &took.Theirs}} {
			start := time.Now()
			answer, err := one(side.uri, token)
			if err != nil {
				return took, err
			}
			if i >= warming {
				*side.took = append(*side.took, time.Since(start))
			}
			if !strings.Contains(answer, "SecretAccessKey") {
				return took, fmt.Errorf("%s answered %.200q", side.uri, answer)
			}
		}
	}
	return took, nil
}

// askPlainly asks as little as a client can: a connection, one write, and
// reading to the end. What it takes is the server's time and the kernel's.
func askPlainly(uri, token string) (string, error) {
	host, path, _ := strings.Cut(strings.TrimPrefix(uri, "http://"), "/")
	conn, err := net.Dial("tcp4", host)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nConnection: close\r\n\r\n", path, host, token); err != nil {
		return "", err
	}
	b, err := io.ReadAll(conn)
	return string(b), err
}

// askByGo asks by Go's HTTP client, as Go's SDK does, with a connection of its
// own for each request: an SDK that asks once in ten minutes keeps none.
func askByGo(uri, token string) (string, error) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequest(http.MethodGet, uri, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", token)
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(res.Body)
	return string(body), errors.Join(err, res.Body.Close())
}

// smallestServer is what the endpoint is compared with: Go's HTTP server with a
// fixed answer of the same kind and size, that looks at nothing.
func smallestServer() *httptest.Server {
	body := fmt.Sprintf(`{"AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q,"Expiration":%q,"AccountId":%q}`,
		strings.Repeat("A", 20), strings.Repeat("s", 40), strings.Repeat("t", 700), "2026-11-22T19:00:00Z", fakeaws.DefaultAccount)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}))
	s.Config.SetKeepAlivesEnabled(false)
	s.Start()
	return s
}

// measureEndpoint runs a job whose script asks envrole-run for its session, over
// and over, while no renewal is due.
func measureEndpoint(ctx context.Context, o options) (rows []row, err error) {
	w, err := newWorld(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.deliver("endpoint"); err != nil {
		return nil, err
	}
	other := smallestServer()
	defer other.Close()
	peak := 0
	for _, kind := range []struct{ key, name string }{
		{"plain", "credentials request, no renewal due"},
		{"go", "  the same by Go's HTTP client"},
	} {
		took, err := w.requests(ctx, kind.key, other.URL+"/v1/credentials")
		if err != nil {
			return nil, err
		}
		peak = max(peak, took.memory)
		ours, theirs := took.Ours.p99s(), took.Theirs.p99s()
		p99 := row{
			name: kind.name + ", p99", ours: ours.fine(), theirs: theirs.fine() + " smallest HTTP server",
			ratio: times(float64(ours.median()), float64(theirs.median())),
		}
		if kind.key == "plain" { // the other client costs more than the target by itself
			p99.target, p99.met = "<= 1 ms", yesNo(ours.median() <= requestTarget)
		}
		rows = append(rows, p99, row{
			name: kind.name + ", median", ours: took.Ours.fine(), theirs: took.Theirs.fine() + " smallest HTTP server",
			ratio: times(float64(took.Ours.median()), float64(took.Theirs.median())),
		})
	}
	if w.aws.Count("AssumeRole") > 4 { // a lent session and a revocation for each kind
		return nil, errors.New("a session was renewed meanwhile")
	}
	return append(rows, memoryRow("  peak memory of envrole-run meanwhile", peak)), nil
}

// p99s is for each round the time that one of 100 requests exceeded.
func (s series) p99s() series {
	var out series
	for round := range slices.Chunk(s, max(1, len(s)/rounds)) {
		out = append(out, round.sorted()[len(round)*99/100])
	}
	return out
}

// fine is String for times below a millisecond, without the rare extremes of
// many.
func (s series) fine() string {
	o := s.sorted()
	least, most := o[0], o[len(o)-1]
	if len(o) > rounds {
		least, most = o[len(o)/100], o[len(o)*99/100]
	}
	return fmt.Sprintf("%.2f ms (%.2f..%.2f)", inMillis(s.median()), inMillis(least), inMillis(most))
}

func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// deliver makes the rule, which is the end of the configuration, hand sessions
// out in another way.
func (w *world) deliver(delivery string) error {
	f, err := os.OpenFile(w.config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "delivery = %q\n", delivery)
	return errors.Join(err, f.Close())
}

// requests runs a job whose script is this program, as a client of that kind.
func (w *world) requests(ctx context.Context, kind, other string) (answers, error) {
	self, err := os.Executable()
	if err != nil {
		return answers{}, err
	}
	payload, err := w.payload()
	if err != nil {
		return answers{}, err
	}
	res := w.ours.Run(ctx, job(payload, fmt.Sprintf("%s=%s %s=%s '%s'", clientFor, kind, otherServer, other, self)+sayMemory))
	if err := failed("our", res); err != nil {
		return answers{}, err
	}
	took, err := answersIn(res.Log)
	if err != nil {
		return answers{}, err
	}
	took.memory, err = usage{tail: res.Log}.memory()
	return took, err
}

// answersIn finds what a client printed in a job's log.
func answersIn(log string) (answers, error) {
	for line := range strings.Lines(log) {
		var took answers
		if json.Unmarshal([]byte(line), &took) == nil && len(took.Ours) == asked {
			return took, nil
		}
	}
	return answers{}, fmt.Errorf("the job's log has no times:\n%.2000s", log)
}
