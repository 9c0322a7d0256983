package mask

import "io"

// This file promises that what leaves the filter is the stream in order, with
// one marker for each span, in few and large writes.

// chunk bounds what is gathered for one write to the destination.
const chunk = 64 << 10

// output holds the end of the stream that was not yet printed.
type output struct {
	dst      io.Writer
	err      error  // of dst, sticky
	held     []byte // the stream from printed on
	printed  int64  // position up to which the stream is printed or masked
	maskedTo int64  // end of the last span that got a marker
	buf      []byte // gathered for dst
}

// settle prints the stream up to limit with the spans masked, each of which
// begins before limit, and holds what is behind it. The stream so far ends at
// end with the bytes p. It returns the number of markers.
func (o *output) settle(p []byte, end, limit int64, spans []span) (markers int64) {
	base := end - int64(len(p))
	for _, s := range spans {
		o.print(p, base, s.from)
		if s.from >= o.maskedTo { // else it grew out of the one before
			o.buf = append(o.buf, Marker...)
			markers++
		}
		o.maskedTo = max(o.maskedTo, s.to)
		o.printed = max(o.printed, s.to)
	}
	o.print(p, base, limit)
	o.flush()
	o.hold(p, base)
	return markers
}

// print passes on the stream from printed up to position to.
func (o *output) print(p []byte, base, to int64) {
	if to <= o.printed {
		return
	}
	if o.printed < base {
		start := base - int64(len(o.held))
		o.gather(o.held[o.printed-start : min(to, base)-start])
		o.printed = min(to, base)
	}
	if o.printed < to {
		o.gather(p[o.printed-base : to-base])
		o.printed = to
	}
}

// hold keeps the stream from printed on for later.
func (o *output) hold(p []byte, base int64) {
	start := base - int64(len(o.held))
	gone := min(o.printed, base) - start
	o.held = append(o.held[:0], o.held[gone:]...)
	o.held = append(o.held, p[max(o.printed-base, 0):]...)
}

func (o *output) gather(b []byte) {
	if len(o.buf)+len(b) > chunk {
		o.flush()
	}
	if len(b) > chunk/2 {
		o.flush() // what was gathered comes first
		o.send(b)
		return
	}
	o.buf = append(o.buf, b...)
}

func (o *output) flush() {
	o.send(o.buf)
	o.buf = o.buf[:0]
}

func (o *output) send(b []byte) {
	if o.err != nil || len(b) == 0 {
		return
	}
	n, err := o.dst.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	o.err = err
}
