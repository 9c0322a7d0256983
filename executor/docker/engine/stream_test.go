package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"envrole/executor/docker"
)

func piece(stream byte, text string) string {
	return string(binary.BigEndian.AppendUint32([]byte{stream, 0, 0, 0}, uint32(len(text)))) + text
}

func TestTheEnginesStreamIsTakenApart(t *testing.T) {
	long := strings.Repeat("x", 3*streamBuffer)
	in := piece(1, "a") + piece(2, "{") + piece(1, "") + piece(1, long) + piece(2, "}\n") + piece(1, "z")
	var out bytes.Buffer
	words := words{}
	if err := demultiplex(byteByByte{strings.NewReader(in)}, &out, &words, nil); err != nil {
		t.Fatal(err)
	}
	if out.String() != "a"+long+"z" || string(words.kept) != "{}\n" {
		t.Errorf("%d bytes, %q", out.Len(), words.kept)
	}
	for _, cut := range []int{3, 8, 9, len(in) - 1} {
		if cut == 9 {
			continue // the end of a piece
		}
		if err := demultiplex(strings.NewReader(in[:cut]), io.Discard, io.Discard, nil); err == nil {
			t.Errorf("cut after %d bytes: no error", cut)
		}
	}
	failed := 0
	err := demultiplex(strings.NewReader(in), brokenWriter{}, io.Discard, func() { failed++ })
	var noLog *logError
	if !errors.As(err, &noLog) || failed != 1 {
		t.Errorf("%v, %d", err, failed)
	}
}

// byteByByte gives a byte at a time.
type byteByByte struct{ r io.Reader }

func (o byteByByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

// Only the agent's own words are a result: anything else must not pass for a
// script that succeeded.
func TestWhatIsNoResultIsNotTakenForOne(t *testing.T) {
	for _, text := range []string{"", "{}", "null", "0", `{"exit":`, "panic: x", `{"exit":"0"}`, "{\"exit\":0}\nfatal error: x"} {
		if r, ok := resultOf([]byte(text)); ok {
			t.Errorf("%q: %+v", text, r)
		}
	}
	if r, ok := resultOf([]byte("{\"exit\":0,\"stuck\":7,\"help\":true}\n{\"exit\":3,\"later\":1}\n")); !ok || r.Exit != 3 || r.Stuck != 0 {
		t.Errorf("%+v %t", r, ok)
	}
}

func TestTheAgentIsHelpedOnceAScript(t *testing.T) {
	var helped []int
	w := words{line: callOnce(func(pid int) { helped = append(helped, pid) })}
	for _, line := range []string{"noise", `{"exit":0,"stuck":7,"help":true}`, `{"exit":0,"stuck":8,"help":true}`, `{"exit":0}`} {
		if _, err := w.Write([]byte(line + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(helped, []int{7}) {
		t.Errorf("%v", helped)
	}
}

// A job that knows where its agent is knows nothing of another's.
func TestThePlaceOfTheAgentIsOfEachJob(t *testing.T) {
	a, b := &Engine{plan: docker.Plan{LeaseID: "a", Mark: "m"}}, &Engine{plan: docker.Plan{LeaseID: "b", Mark: "m"}}
	if a.agentDir() == b.agentDir() || !strings.HasPrefix(a.agentPath(), "/.envrole-") || len(a.agentDir()) < len("/.envrole-")+32 {
		t.Error(a.agentPath(), b.agentPath())
	}
}
