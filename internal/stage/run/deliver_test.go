package run

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

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
