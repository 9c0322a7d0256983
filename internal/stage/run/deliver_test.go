package run

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"envrole/executor"
	"envrole/executor/mask"
	"envrole/executor/shell"
)

// A script whose session is renewed while it runs waits for some seconds only: the
// renewal may end at the very moment at which the endpoint is opened. The filter
// then knows both, the new session and the endpoint's token.
func TestARenewalAtTheBeginningMakesNobodyForgetTheToken(t *testing.T) {
	b := newBench(t, time.Hour)
	for range 50 {
		var out bytes.Buffer
		filter, err := mask.New(&out, b.sealed.Secrets()...)
		if err != nil {
			t.Fatal(err)
		}
		d := &delivery{base: shell.New(shell.Plan{}), filter: filter}
		renewed := generation(2, time.Hour)
		var renewal sync.WaitGroup
		renewal.Go(func() {
			if err := d.learn(renewed.Secrets()...); err != nil {
				t.Error(err)
			}
		})
		env, stop, err := d.endpoint(t.Context(), b.source)
		if err != nil {
			t.Fatal(err)
		}
		renewal.Wait()
		stop()
		_, token, _ := strings.Cut(env[1], "=")
		for _, secret := range []string{token, renewed.SecretAccessKey, renewed.SessionToken} {
			_, _ = filter.Write([]byte(secret + "\n"))
		}
		_ = filter.Flush()
		if got := out.String(); strings.Count(got, mask.Marker) != 3 || strings.Contains(got, token) || strings.Contains(got, "-of-2") {
			t.Fatalf("the log shows %q", got)
		}
	}
}

// deaf is a base whose scripts' loopback never answers, such as that of a container
// that is paused.
type deaf struct{ executor.Executor }

func (deaf) Listen(ctx context.Context) (net.Listener, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// A stage that waits for what never comes ends with its job at the latest.
func TestAnEndpointThatCannotBeOpenedIsNotWaitedForWithoutEnd(t *testing.T) {
	for name, tc := range map[string]struct {
		cancelled time.Duration
		want      string
	}{
		"cancelled": {time.Minute, "the job was cancelled"},
		"alone":     {time.Hour, "did not answer within 2m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, time.Hour)
				d := b.deliveryOf("endpoint", time.Hour)
				d.base, d.ledger, d.handed.LeaseID, d.log = deaf{}, b.ledger, b.id, &jobLog{out: io.Discard}
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(tc.cancelled, func() { cancel(errors.New("the job was cancelled")) })
				if _, _, err := d.begin(ctx, "build_script"); err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}
