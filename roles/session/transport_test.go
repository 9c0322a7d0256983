package session

import (
	"bytes"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
)

// endless answers with a body that never ends.
type endless struct{ closed bool }

func (e *endless) Do(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: e}, nil
}

func (e *endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("x"), len(p))), nil }

func (e *endless) Close() error { e.closed = true; return nil }

func TestAnAnswerWithoutEndIsCut(t *testing.T) {
	server := &endless{}
	resp, err := bounded{server, new(atomic.Bool)}.Do(nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if n != maxAnswer || err != nil {
		t.Errorf("%d bytes, error %v", n, err)
	}
	if err := resp.Body.Close(); err != nil || !server.closed {
		t.Error("the connection is not released")
	}
}
