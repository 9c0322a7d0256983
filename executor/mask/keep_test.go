package mask

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestWhatIsKeptIsMaskedAndTheRestForgotten(t *testing.T) {
	var out bytes.Buffer
	f, err := New(&out, "first-secret", "second-secret")
	if err != nil {
		t.Fatal(err)
	}
	write := func(s string) {
		t.Helper()
		if _, err := f.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	write("first-secret second-secret third-secret\nfirst-s")
	// An occurrence is under way: it is still masked.
	if err := f.Keep("second-secret", "third-secret"); err != nil {
		t.Fatal(err)
	}
	write("ecret third-secret #\n")
	if err := f.Add("fourth-secret"); err != nil {
		t.Fatal(err)
	}
	write("first-secret second-secret third-secret fourth-secret\n")
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	want := "[MASKED] [MASKED] third-secret\n[MASKED] [MASKED] #\nfirst-secret [MASKED] [MASKED] [MASKED]\n"
	if out.String() != want {
		t.Errorf("got %q", out.String())
	}
}

// An Add between Keep and the moment of forgetting is not lost.
func TestAnAddIsNotForgottenWithTheRest(t *testing.T) {
	var out bytes.Buffer
	f, err := New(&out, "first-secret")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.Write([]byte("first-s"))
	for _, err := range []error{f.Keep("second-secret"), f.Add("third-secret")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	_, _ = f.Write([]byte(" third-secret second-secret first-secret #\n"))
	_, _ = f.Write([]byte("third-secret second-secret first-secret\n"))
	_ = f.Flush()
	if strings.Contains(out.String(), "third-secret") || strings.Contains(out.String(), "second-secret") || !strings.HasSuffix(out.String(), "first-secret\n") {
		t.Errorf("got %q", out.String())
	}
}

func TestAFilterThatKeepsFewStaysSmall(t *testing.T) {
	f, err := New(&bytes.Buffer{}, strings.Repeat("0", 1000))
	if err != nil {
		t.Fatal(err)
	}
	first := f.current.Load().nodes()
	for i := range 30 {
		if err := f.Keep(fmt.Sprintf("%d%s", i, strings.Repeat("x", 1000)), fmt.Sprintf("%d%s", i+1, strings.Repeat("x", 1000))); err != nil {
			t.Fatal(err)
		}
	}
	if now := f.current.Load().nodes(); now > 3*first {
		t.Errorf("%d nodes of %d at first", now, first)
	}
}

func TestKeepWhileTheStreamFlows(t *testing.T) {
	var out bytes.Buffer
	f, err := New(&out, "secret-number-0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 50 {
			if err := f.Keep(fmt.Sprintf("secret-number-%d", i), "always-a-secret"); err != nil {
				t.Error(err)
			}
		}
	})
	if err := f.Add("always-a-secret"); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		_, _ = f.Write([]byte("x always-a-"))
		_, _ = f.Write([]byte("secret secret-num"))
	}
	wg.Wait()
	_ = f.Flush()
	if strings.Contains(out.String(), "always-a-secret") {
		t.Error("a kept secret came through")
	}
}
