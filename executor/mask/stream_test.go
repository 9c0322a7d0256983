package mask

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func newFilter(t *testing.T, dst io.Writer, secrets ...string) *Filter {
	t.Helper()
	f, err := New(dst, secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t *testing.T, f *Filter, p string) {
	t.Helper()
	if _, err := f.Write([]byte(p)); err != nil {
		t.Fatal(err)
	}
}

func flush(t *testing.T, f *Filter) {
	t.Helper()
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestPromptsAndProgressBarsPassAtOnce(t *testing.T) {
	var out bytes.Buffer
	f := newFilter(t, &out, example)
	for _, p := range []string{"Password: ", "\r 10 % [==>  ]", "\r 99%", ".", ".", "\x1b[32mdone\x1b[0m\n", "Go on? [y/N] ", "no newline: "} {
		out.Reset()
		write(t, f, p)
		if out.String() != p {
			t.Errorf("of %q came out %q", p, out.String())
		}
	}
}

func TestOnlyABeginningOfASecretIsHeldBack(t *testing.T) {
	for _, tc := range []struct{ in, out string }{
		{"a" + example[:1], "a"},
		{"a" + example[:39], "a"},
		{"a" + example[:1] + " ", "a" + example[:1] + " "},
		{"a" + example[:20] + "\n", "a"},
		{"a" + example[:20] + "\r\n\r\n", "a"},
		{"a" + example[:20] + "\r\n\r\n\n", "a" + example[:20] + "\r\n\r\n\n"},
		{"a" + example[:5] + `\u00`, "a"},
		{"a" + example[:5] + `\u01`, "a" + example[:5] + `\u01`},
		{"a" + example[1:], "a" + example[1:]},
		{example[:30] + example[:3], example[:30]},
	} {
		var out bytes.Buffer
		f := newFilter(t, &out, example)
		write(t, f, tc.in)
		if out.String() != tc.out {
			t.Errorf("of %q came out %q, want %q", tc.in, out.String(), tc.out)
		}
	}
}

func TestFlushMasksALongBeginningAndPrintsAShortOne(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"a" + example[:7], "a" + example[:7]},
		{"a" + example[:8], "a[MASKED]"},
		{"a" + example[:39] + "\r\n", "a[MASKED]\r\n"},
		{"a" + example[:4] + "\n" + example[4:8] + "\n", "a[MASKED]\n"},
		{example, "[MASKED]"},
		{"", ""},
	} {
		if got, _ := filtered(t, []string{example}, tc.in); got != tc.want {
			t.Errorf("of %q: got %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestFlushBeginsANewStream(t *testing.T) {
	var out bytes.Buffer
	f := newFilter(t, &out, example)
	for _, p := range []string{example[:4], example[4:], example} {
		write(t, f, p)
		flush(t, f)
	}
	if want := example[:4] + example[4:] + Marker; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestAWriteIsNotKeptAndNotChanged(t *testing.T) {
	var out bytes.Buffer
	f := newFilter(t, &out, example)
	p := []byte("ab " + example[:20])
	write(t, f, string(p[:0]))
	if _, err := f.Write(p); err != nil {
		t.Fatal(err)
	}
	if string(p) != "ab "+example[:20] {
		t.Errorf("the caller's bytes became %q", p)
	}
	clear(p)
	write(t, f, "!")
	if want := "ab " + example[:20] + "!"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// failing takes some bytes and then fails, or takes less than it is given.
type failing struct {
	left int
	err  error
}

func (w *failing) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return w.left, w.err
	}
	w.left -= len(p)
	return len(p), nil
}

func TestAFailingDestinationStopsTheFilter(t *testing.T) {
	full := errors.New("no space left")
	for _, tc := range []struct{ err, want error }{{full, full}, {nil, io.ErrShortWrite}} {
		f := newFilter(t, &failing{10, tc.err}, example)
		if _, err := f.Write([]byte("12345")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if n, err := f.Write([]byte("67890abc" + example)); n != 0 || !errors.Is(err, tc.want) {
				t.Errorf("got %d, %v, want %v", n, err, tc.want)
			}
		}
		if err := f.Flush(); !errors.Is(err, tc.want) {
			t.Errorf("flush: got %v, want %v", err, tc.want)
		}
	}
}

func TestNothingIsAllocatedWithoutAMatch(t *testing.T) {
	f := newFilter(t, io.Discard, awsKey(), awsToken())
	text := ordinaryLog(1 << 16)
	write(t, f, string(text)) // lets the buffers grow
	i := 0
	if n := testing.AllocsPerRun(100, func() {
		if _, err := f.Write(text[i : i+4096]); err != nil {
			t.Fatal(err)
		}
		i = (i + 500) % (len(text) - 4096)
	}); n != 0 {
		t.Errorf("%v allocations for a write", n)
	}
}

func TestWhatIsHeldStaysSmall(t *testing.T) {
	same := strings.Repeat("A", 40)
	f := newFilter(t, io.Discard, same)
	for range 200 {
		write(t, f, strings.Repeat("A\r\n\r\n", 200))
	}
	// The longest form is the hex one: 80 characters, each with a gap.
	if most := 80 * (1 + maxGap); len(f.out.held) > most || len(f.walker.spans) > most {
		t.Errorf("holds %d bytes and %d spans", len(f.out.held), len(f.walker.spans))
	}
}
