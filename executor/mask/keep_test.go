package mask

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
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
	// An occurrence is under way: of what is forgotten, it is printed.
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
	want := "[MASKED] [MASKED] third-secret\nfirst-secret [MASKED] #\nfirst-secret [MASKED] [MASKED] [MASKED]\n"
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

// A script that says nothing more for hours, and whose last byte may begin a
// secret, is no reason to remember all of them.
func TestAQuietStreamIsNoReasonToRemember(t *testing.T) {
	secret := func(i int) string { return fmt.Sprintf("x%02d%s", i, strings.Repeat("y", 1000)) }
	var out bytes.Buffer
	f, err := New(&out, secret(0))
	if err != nil {
		t.Fatal(err)
	}
	first := f.current.Load().nodes()
	if _, err := f.Write([]byte("the end: x")); err != nil {
		t.Fatal(err)
	}
	for i := range 70 {
		if err := f.Keep(secret(i), secret(i+1)); err != nil {
			t.Fatal(err)
		}
		if now := f.current.Load().nodes(); now > 3*first {
			t.Fatalf("%d nodes of %d at first, after %d generations", now, first, i+1)
		}
	}
	if n := len(f.walker.seen); n > 4*first {
		t.Errorf("the walker remembers %d nodes of %d at first", n, first)
	}
	_ = f.Flush()
	if out.String() != "the end: x" {
		t.Errorf("got %q", out.String())
	}
}

// Wherever in the stream secrets are forgotten, those that are kept are masked as
// if nothing had been: in every form, where occurrences overlap, and with what
// follows a base64 form.
func TestForgettingLeavesNoGap(t *testing.T) {
	const kept, gone = "abc+secret/abc+", "abc+secret/other"
	stream := "x " + kept + "secret/abc+ " // overlaps with itself
	for lead := range 3 {
		text := strings.Repeat("-", lead) + kept + "!"
		stream += base64.StdEncoding.EncodeToString([]byte(text)) + " " + hex.EncodeToString([]byte(text)) + "\n" + url.QueryEscape(text) + " " + kept[:9] + " "
		stream += base64.RawURLEncoding.EncodeToString([]byte(text[:len(text)-1])) + "\r\n"
	}
	masked := func(cut int, secrets ...string) string {
		var out bytes.Buffer
		f, err := New(&out, secrets...)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.Write([]byte(stream[:cut]))
		if err := f.Keep("further-secret", kept); err != nil {
			t.Fatal(err)
		}
		_, _ = f.Write([]byte(stream[cut:]))
		_ = f.Flush()
		if slices.Contains(f.current.Load().known, gone) {
			t.Errorf("cut at %d: not forgotten", cut)
		}
		return out.String()
	}
	want := masked(0, kept)
	for cut := range len(stream) {
		if got := masked(cut, gone, kept); got != want {
			t.Fatalf("cut at %d:\n%q, want\n%q", cut, got, want)
		}
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
