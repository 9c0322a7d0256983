package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// pair is both ends with a stream between them, as the Engine makes it.
func pair(t *testing.T, silence time.Duration) (ln *Listener, served <-chan error) {
	t.Helper()
	toContainer, fromClient := io.Pipe()
	toClient, fromContainer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := Serve(t.Context(), toContainer, fromContainer, silence)
		_ = fromContainer.Close()
		done <- err
	}()
	ln, err := Listen(toClient, fromClient, 20*time.Millisecond, func() { _, _ = fromClient.Close(), toClient.Close() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln, done
}

func dial(t *testing.T, ln net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// echo answers each connection with the line that it got, and closes it.
func echo(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			b := make([]byte, 64)
			n, err := c.Read(b)
			if err == nil {
				_, _ = fmt.Fprintf(c, "got %s", b[:n])
			}
		}()
	}
}

func ask(t *testing.T, ln net.Listener, text string) string {
	t.Helper()
	c := dial(t, ln)
	if _, err := io.WriteString(c, text); err != nil {
		t.Error(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

func TestConnectionsAreRelayedEachToItsOwnEnd(t *testing.T) {
	ln, _ := pair(t, 0)
	go echo(ln)
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			text := fmt.Sprintf("request %d", i)
			if got := ask(t, ln, text); got != "got "+text {
				t.Errorf("%q", got)
			}
		})
	}
	all.Wait()
	ln.link.mu.Lock()
	defer ln.link.mu.Unlock()
	for deadline := time.Now().Add(10 * time.Second); len(ln.link.conns) > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d connections are still known", len(ln.link.conns))
		}
		ln.link.mu.Unlock()
		time.Sleep(10 * time.Millisecond)
		ln.link.mu.Lock()
	}
}

func TestALongAnswerArrivesWhole(t *testing.T) {
	ln, _ := pair(t, 0)
	answer := bytes.Repeat([]byte("0123456789abcdef"), maxQueue/32)
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write(answer)
			_ = c.Close()
		}
	}()
	for range 200 { // the end must not overtake the last of the answer, not even now and then
		c := dial(t, ln)
		// Nobody reads this: it must not cost the answer.
		_, _ = c.Write([]byte(strings.Repeat("x", 3*maxData)))
		if b, err := io.ReadAll(c); err != nil || !bytes.Equal(b, answer) {
			t.Fatalf("%d bytes of %d: %v", len(b), len(answer), err)
		}
		_ = c.Close()
	}
}

func TestWhoHasSaidAllStillGetsTheAnswer(t *testing.T) {
	ln, _ := pair(t, 0)
	go echo(ln)
	c := dial(t, ln).(*net.TCPConn)
	if _, err := c.Write([]byte("all")); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); err != nil || string(b) != "got all" {
		t.Errorf("%q %v", b, err)
	}
}

// One that sends without end and one that reads nothing, both served by nobody
// who reads, beside one that wants an answer.
func TestConnectionsDoNotHoldEachOtherUp(t *testing.T) {
	ln, _ := pair(t, 0)
	flood := dial(t, ln)
	_ = dial(t, ln) // reads nothing
	block := make([]byte, maxData)
	forEver := func(c net.Conn, ended chan<- struct{}) {
		for {
			if _, err := c.Write(block); err != nil {
				close(ended)
				return
			}
		}
	}
	var ended []chan struct{}
	for range 2 {
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		ended = append(ended, make(chan struct{}))
		go forEver(c, ended[len(ended)-1])
	}
	ended = append(ended, make(chan struct{}))
	go forEver(flood, ended[len(ended)-1])
	go echo(ln)
	if got := ask(t, ln, "hello"); got != "got hello" {
		t.Errorf("%q", got)
	}
	for i, e := range ended {
		select {
		case <-e:
		case <-time.After(20 * time.Second):
			t.Errorf("connection %d goes on though nobody reads", i)
		}
	}
}

func TestNothingIsAcceptedAfterTheEnd(t *testing.T) {
	for what, end := range map[string]func(*Listener){
		"close":       func(ln *Listener) { _ = ln.Close() },
		"lost stream": func(ln *Listener) { ln.hangUp() },
	} {
		ln, served := pair(t, 0)
		open := dial(t, ln)
		if _, err := ln.Accept(); err != nil {
			t.Fatal(err)
		}
		end(ln)
		if err := <-served; err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%s: the container's end: %v", what, err)
		}
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: Accept: %v", what, err)
		}
		if _, err := open.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: a connection lives on", what)
		}
		if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
			_ = c.Close()
			t.Errorf("%s: it still listens in the container", what)
		}
	}
}

func TestSilenceEndsTheListeningInTheContainer(t *testing.T) {
	in, w := io.Pipe()
	defer w.Close()
	if err := Serve(t.Context(), in, io.Discard, 30*time.Millisecond); err == nil || !strings.Contains(err.Error(), "nothing came") {
		t.Errorf("%v", err)
	}
	ln, served := pair(t, time.Second)
	go echo(ln)
	select {
	case err := <-served:
		t.Errorf("signs of life did not count: %v", err)
	case <-time.After(1500 * time.Millisecond):
	}
}

// Whatever the process in the container became, it gets no further than this.
func TestTheContainersEndIsNotBelieved(t *testing.T) {
	frames := func(all ...frame) []byte {
		var b bytes.Buffer
		for _, f := range all {
			_ = newLink(&b, 0).send(f)
		}
		return b.Bytes()
	}
	for what, said := range map[string][]byte{
		"nothing":           nil,
		"another beginning": frames(frame{kind: begin, id: 1}),
		"an outer address":  frames(frame{kind: ready, data: []byte("192.0.2.1:80")}),
		"every address":     frames(frame{kind: ready, data: []byte("0.0.0.0:80")}),
		"no port":           frames(frame{kind: ready, data: []byte("127.0.0.1:0")}),
		"a header's end":    frames(frame{kind: ready, data: []byte("127.0.0.1:80\r\nx")}),
		"an unknown kind":   {0, 0, 0, 0, 99, 0, 0},
		"too long a frame":  {0, 0, 0, 0, byte(ready), 0xff, 0xff},
		"a frame cut short": frames(frame{kind: ready, data: []byte("127.0.0.1:80")})[:9],
		"a name to look up": frames(frame{kind: ready, data: []byte("localhost:80")}),
		"text, not a frame": []byte("OCI runtime exec failed: exec failed"),
		"an empty address":  frames(frame{kind: ready}),
		"an IPv6 address":   frames(frame{kind: ready, data: []byte("[::1]:80")}),
		"another loopback":  frames(frame{kind: ready, data: []byte("127.0.0.2:80")}),
	} {
		if ln, err := Listen(bytes.NewReader(said), io.Discard, time.Hour, func() {}); err == nil {
			t.Errorf("%s: listens on %s", what, ln.Addr())
		}
	}
	hello := frame{kind: ready, data: []byte("127.0.0.1:80")}
	many := []frame{hello}
	for i := range uint32(slack*maxOpen + 1) {
		many = append(many, frame{kind: begin, id: i})
	}
	for what, said := range map[string][]frame{
		"a number twice":       {hello, {kind: begin, id: 1}, {kind: begin, id: 1}},
		"too many connections": many,
		"ready again":          {hello, hello},
		"a beat":               {hello, {kind: beat}},
	} {
		ended := make(chan struct{})
		r, w := io.Pipe()
		ln, err := Listen(io.MultiReader(bytes.NewReader(frames(said...)), r), io.Discard, time.Hour, func() { close(ended); _ = w.Close() })
		if err != nil {
			t.Fatal(what, err)
		}
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Errorf("%s: the listener lives on", what)
			_ = ln.Close()
		}
	}
	// Bytes for nobody are dropped, and what is not read does not pile up.
	flood := []frame{hello, {kind: data, id: 9, data: []byte("x")}, {kind: begin, id: 1}}
	for range maxQueue/maxData + 2 {
		flood = append(flood, frame{kind: data, id: 1, data: make([]byte, maxData)})
	}
	r, w := io.Pipe()
	ln, err := Listen(io.MultiReader(bytes.NewReader(frames(flood...)), r), io.Discard, time.Hour, func() { _ = w.Close() })
	if err != nil {
		t.Fatal(err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		ln.link.mu.Lock()
		n := len(ln.link.conns)
		ln.link.mu.Unlock()
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a flood is kept")
		}
	}
	_, _ = c.Close(), ln.Close()
}

func FuzzTheContainersEnd(f *testing.F) {
	var b bytes.Buffer
	l := newLink(&b, 0)
	_ = l.send(frame{kind: ready, data: []byte("127.0.0.1:80")})
	_ = l.send(frame{kind: begin, id: 1})
	_ = l.send(frame{kind: data, id: 1, data: []byte("GET / HTTP/1.1\r\n\r\n")})
	_ = l.send(frame{kind: end, id: 1})
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, said []byte) {
		ln, err := Listen(bytes.NewReader(said), io.Discard, time.Hour, func() {})
		if err != nil {
			return
		}
		if !strings.HasPrefix(ln.Addr().String(), "127.0.0.1:") {
			t.Errorf("listens on %s", ln.Addr())
		}
		for { // to the end of what was said
			c, err := ln.Accept()
			if err != nil {
				break
			}
			_ = c.Close()
		}
	})
}
