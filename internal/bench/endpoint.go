package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// clientFor makes this program a job's tool that asks the credentials endpoint
// in its environment, as a client of the named kind.
const clientFor = "ENVROLE_BENCH_CLIENT"

// asked is how many requests are timed, after some that are not.
const asked, warming = 2000, 100

// requestTarget is for the 99th of 100 requests.
const requestTarget = time.Millisecond

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

func ask(kind string) (series, error) {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: kind == "new"}}
	req, err := http.NewRequest(http.MethodGet, os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN"))
	var took series
	for i := range warming + asked {
		start := time.Now()
		res, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(res.Body)
		if err := errors.Join(err, res.Body.Close()); err != nil {
			return nil, err
		}
		if i >= warming {
			took = append(took, time.Since(start))
		}
		if res.StatusCode != http.StatusOK || !strings.Contains(string(body), "SecretAccessKey") {
			return nil, fmt.Errorf("the endpoint answered %s", res.Status)
		}
	}
	return took, nil
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
	for _, kind := range []struct{ key, name string }{
		{"kept", "credentials request, no renewal due, p99"},
		{"new", "  a client that keeps no connection, p99"},
	} {
		took, err := w.requests(ctx, kind.key)
		if err != nil {
			return nil, err
		}
		p99 := took.sorted()[len(took)*99/100]
		rows = append(rows, row{
			name: kind.name, ours: fmt.Sprintf("%.2f ms (median %.2f ms)", inMillis(p99), inMillis(took.median())),
			target: "<= 1 ms", met: yesNo(p99 <= requestTarget),
		})
	}
	if w.aws.Count("AssumeRole") > 4 { // a lent session and a revocation for each kind
		return nil, errors.New("a session was renewed meanwhile")
	}
	return rows, nil
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
func (w *world) requests(ctx context.Context, kind string) (series, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	payload, err := w.payload()
	if err != nil {
		return nil, err
	}
	res := w.ours.Run(ctx, job(payload, fmt.Sprintf("%s=%s '%s'", clientFor, kind, self)))
	if err := failed("our", res); err != nil {
		return nil, err
	}
	for line := range strings.Lines(res.Log) {
		var took series
		if json.Unmarshal([]byte(line), &took) == nil && len(took) == asked {
			return took, nil
		}
	}
	return nil, fmt.Errorf("the job's log has no times:\n%.2000s", res.Log)
}
