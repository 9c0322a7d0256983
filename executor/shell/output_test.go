package shell

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestAProcessOutOfReachDoesNotHangTheLog(t *testing.T) {
	o, err := newOutput()
	if err != nil {
		t.Fatal(err)
	}
	defer o.write.Close() // it holds the pipe as one would that nothing can end
	var out bytes.Buffer
	o.copyTo(&out)
	if _, err := o.write.WriteString("said in time"); err != nil {
		t.Fatal(err)
	}
	if err := o.drain(); err != nil || out.String() != "said in time" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

// gate is a log that takes nothing until it is opened.
type gate struct {
	bytes.Buffer
	entered chan struct{}
	open    chan struct{}
}

func (g *gate) Write(p []byte) (int, error) {
	select {
	case g.entered <- struct{}{}:
	default:
	}
	<-g.open
	return g.Buffer.Write(p)
}

func TestASlowLogLosesNothingAtTheDeadline(t *testing.T) {
	o, err := newOutput()
	if err != nil {
		t.Fatal(err)
	}
	defer o.write.Close()
	g := &gate{entered: make(chan struct{}, 1), open: make(chan struct{})}
	o.copyTo(g)
	text := strings.Repeat("x", 40<<10) + "end"
	if _, err := o.write.WriteString("begin"); err != nil {
		t.Fatal(err)
	}
	<-g.entered // the log is stuck with the first piece
	if _, err := o.write.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := o.read.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	close(g.open)
	if err := <-o.done; err != nil || g.String() != "begin"+text {
		t.Errorf("%d bytes of %d, %v", g.Len(), len(text)+5, err)
	}
}
