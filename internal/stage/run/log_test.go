package run

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"envrole/executor/mask"
)

func TestEnvRolesLinesStandBetweenLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := &jobLog{out: &out}
		l.say("one")
		_, _ = l.Write([]byte("half"))
		l.say("two\nenvrole: forged")
		l.say("three")
		_, _ = l.Write([]byte(" and "))
		_, _ = l.Write([]byte("whole\nnext\nlast"))
		l.say("four")
		l.end()
		l.end()
		want := "envrole: one\nhalf and whole\nenvrole: two envrole: forged\nenvrole: three\nnext\nlast\nenvrole: four\n"
		if out.String() != want {
			t.Errorf("got %q, want %q", out.String(), want)
		}
	})
}

// A line that does not end, such as a progress bar, keeps nothing back for long.
func TestEnvRolesLinesDoNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := &jobLog{out: &out}
		printed := func() string {
			l.mu.Lock()
			defer l.mu.Unlock()
			return out.String()
		}
		_, _ = l.Write([]byte("10 %\r20 %"))
		l.say("one")
		time.Sleep(longestWait - time.Millisecond)
		l.say("two")
		if printed() != "10 %\r20 %" {
			t.Errorf("too early: %q", printed())
		}
		time.Sleep(2 * time.Millisecond)
		if printed() != "10 %\r20 %\nenvrole: one\nenvrole: two\n" {
			t.Errorf("got %q", printed())
		}
		_, _ = l.Write([]byte("30 %"))
		l.say("three")
		time.Sleep(2 * longestWait)
		if !strings.HasSuffix(printed(), "\n30 %\nenvrole: three\n") {
			t.Errorf("got %q", printed())
		}
	})
}

// broken takes some bytes and then fails.
type broken struct{ left int }

func (b *broken) Write(p []byte) (int, error) {
	n := min(b.left, len(p))
	if b.left -= n; n < len(p) {
		return n, errors.New("no space left")
	}
	return n, nil
}

func TestALogThatCannotBeWrittenIsNotTakenForWritten(t *testing.T) {
	l := &jobLog{out: &broken{left: 6}}
	_, _ = l.Write([]byte("half"))
	l.say("one")
	if n, err := l.Write([]byte("x\nwhole\n")); err == nil || n != 2 {
		t.Errorf("%d %v", n, err)
	}
}

// However a script writes a secret, and whenever EnvRole speaks meanwhile, the
// log has no part of it; without EnvRole's lines it is what the filter alone
// makes of the script's output.
func TestEnvRolesLinesNeitherShowNorHideSecrets(t *testing.T) {
	const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	rapid.Check(t, func(t *rapid.T) {
		var alone, both bytes.Buffer
		plain, err := mask.New(&alone, secret)
		if err != nil {
			t.Fatal(err)
		}
		l := &jobLog{out: &both}
		filter, err := mask.New(l, secret)
		if err != nil {
			t.Fatal(err)
		}
		pieces := []string{secret, secret[:20], secret[20:], secret[:1], "\n", "\n", "text", "text\nmore", "\r\n"}
		for i := range rapid.IntRange(0, 12).Draw(t, "writes") {
			p := rapid.SampledFrom(pieces).Draw(t, "piece")
			_, _ = plain.Write([]byte(p))
			_, _ = filter.Write([]byte(p))
			if rapid.Bool().Draw(t, "say") {
				l.say("%d", i)
			}
		}
		_, _ = plain.Flush(), filter.Flush()
		l.end()
		var rest strings.Builder
		for line := range strings.Lines(both.String()) {
			if !strings.HasPrefix(line, "envrole: ") {
				rest.WriteString(line)
			}
		}
		if got := rest.String(); got != alone.String() && got != alone.String()+"\n" {
			t.Fatalf("with EnvRole's lines %q, without %q", both.String(), alone.String())
		}
		if strings.Contains(both.String(), secret) {
			t.Fatal(fmt.Sprintf("the log shows the secret: %q", both.String()))
		}
	})
}
