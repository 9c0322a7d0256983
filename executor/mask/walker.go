package mask

import "slices"

// This file promises that no occurrence is missed which begins at a byte that
// was walked over, and bounded work for each byte: one step for each node at
// most, and in practice for one or two, as the beginnings of a random secret do
// not overlap with itself.

// thread is one reading of the stream as a beginning of an occurrence.
type thread struct {
	node int32
	read int32 // bytes read, line breaks not counted
	from int64 // position in the stream of its first byte
	tail bool  // it reads what follows an occurrence and goes with it
}

// span is a part of the stream that is to be masked.
type span struct{ from, to int64 }

// walker runs the automaton over those parts of the stream in which an
// occurrence may begin. Positions count from the start of the stream.
type walker struct {
	a       *automaton
	pos     int64 // of the next byte
	gap     int   // line break bytes just before pos
	threads []thread
	spare   []thread // the other half of a double buffer
	spans   []span   // found and not yet taken, disjoint, ascending
	taken   []span
	tails   []int32 // where tails begin behind the byte of this step
	seen    []int64 // for each node: the position after the byte that last reached it
}

func (w *walker) use(a *automaton) {
	if a == w.a {
		return
	}
	if w.a != nil && w.a.numbering != a.numbering {
		w.moveTo(a)
		return
	}
	w.a = a
	if n := a.nodes(); n > len(w.seen) {
		seen := make([]int64, n)
		copy(seen, w.seen)
		w.seen = seen
	}
}

// moveTo goes over to an automaton that may know fewer secrets and numbers its
// nodes anew. Occurrences of those it knows that are under way go on.
func (w *walker) moveTo(a *automaton) {
	threads := w.threads[:0]
	for _, t := range w.threads {
		if n, ok := w.a.sameNode(t.node, a); ok {
			t.node = n
			threads = append(threads, t)
		}
	}
	w.threads, w.a = threads, a
	// What the other nodes of these numbers saw was before pos, like nothing.
	if n := a.nodes(); n <= len(w.seen) {
		w.seen = w.seen[:n]
	} else {
		w.seen = make([]int64, n)
	}
}

// scan takes the next bytes of the stream. It walks over those parts of p where
// an occurrence can begin: after a thread of an earlier scan, around sampled
// grams of a form, and at the end, where the gram may be still to come.
func (w *walker) scan(p []byte) {
	s := &w.a.sample
	base := w.pos
	end := s.back(p, 0, len(p))
	i := w.walk(p, base, 0, 0)
	for i < len(p) {
		hit := s.next(p, i)
		if hit >= len(p) {
			i = w.walk(p, base, max(i, end), len(p))
			continue
		}
		i = w.walk(p, base, s.back(p, i, hit), hit+1)
	}
	w.pos = base + int64(len(p))
}

// walk reads p from i up to until, and on while a thread lives. It returns the
// index after the last byte read.
func (w *walker) walk(p []byte, base int64, i, until int) int {
	for ; i < len(p); i++ {
		if len(w.threads) == 0 {
			if i >= until {
				return i
			}
			if !w.a.isHead[p[i]] {
				continue
			}
		}
		w.step(p[i], base+int64(i))
	}
	return i
}

// step moves all threads over the byte c at pos and begins new ones there.
func (w *walker) step(c byte, pos int64) {
	if isBreak(c) {
		if w.gap++; w.gap > maxGap {
			w.threads = w.threads[:0]
		}
		w.threads = slices.DeleteFunc(w.threads, func(t thread) bool { return t.tail })
		return
	}
	w.gap = 0
	next := w.spare[:0]
	for _, t := range w.threads {
		for _, e := range w.a.edges[w.a.first[t.node]:w.a.first[t.node+1]] {
			switch {
			case e.on != c:
			case e.to < 0:
				w.complete(t, e.to, pos)
			case w.seen[e.to] != pos+1:
				// Of two threads at one node the elder, which
				// covers more, goes on. Threads are in order of age.
				w.seen[e.to] = pos + 1
				next = append(next, thread{e.to, t.read + 1, t.from, t.tail})
			}
		}
	}
	for _, n := range w.a.heads[c] {
		if w.seen[n] != pos+1 {
			w.seen[n] = pos + 1
			next = append(next, thread{n, 1, pos, false})
		}
	}
	for _, n := range w.tails {
		if w.seen[n] != pos+1 {
			w.seen[n] = pos + 1
			next = append(next, thread{n, 0, pos + 1, true})
		}
	}
	w.tails = w.tails[:0]
	w.threads, w.spare = next, w.threads
}

// complete notes the occurrence, or the piece of a tail, that ends with the byte
// at pos, and what may follow it. A tail's span overlaps with the one before, so
// that they count as one.
func (w *walker) complete(t thread, target int32, pos int64) {
	if t.tail {
		t.from--
	}
	w.record(t.from, pos+1)
	if target != done {
		w.tails = append(w.tails, tailOf(target))
	}
}

// record notes an occurrence. Ends come in ascending order, so only the last
// spans can overlap with it.
func (w *walker) record(from, to int64) {
	n := len(w.spans)
	for n > 0 && w.spans[n-1].to > from {
		from = min(from, w.spans[n-1].from)
		n--
	}
	w.spans = append(w.spans[:n], span{from, to})
}

// cutOff ends all threads, as the stream is at its end. If the oldest has read
// enough bytes, they are taken for an occurrence.
func (w *walker) cutOff(enough int32) {
	if len(w.threads) > 0 && w.threads[0].read >= enough {
		w.record(w.threads[0].from, w.pos-int64(w.gap))
	}
	w.threads = w.threads[:0]
}

// oldest is the position from which on the stream may be the beginning of an
// occurrence; pos if it is none.
func (w *walker) oldest() int64 {
	if len(w.threads) == 0 {
		return w.pos
	}
	return w.threads[0].from
}

// takeSpans hands over the spans that begin before limit.
func (w *walker) takeSpans(limit int64) []span {
	n := 0
	for n < len(w.spans) && w.spans[n].from < limit {
		n++
	}
	w.taken = append(w.taken[:0], w.spans[:n]...)
	w.spans = append(w.spans[:0], w.spans[n:]...)
	return w.taken
}
