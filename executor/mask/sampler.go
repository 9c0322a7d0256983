package mask

import (
	"encoding/binary"
	"maps"
)

// This file promises: if an occurrence begins in p at i or later, and reach
// bytes of the stream after its beginning lie in p (line breaks not counted),
// then next finds a gram of it, at most reach bytes after its beginning.
//
// A gram is 8 bytes of the stream, line breaks left out. Looking up a gram at
// every step-th byte, instead of running the automaton at every byte, is what
// makes ordinary text cheap. Of each form one window of step+7 symbols is
// chosen and all grams inside it are learned: wherever the samples fall, one
// lies in the window of every occurrence.

const (
	hashBits = 15
	// maxGrams bounds the spellings of one window; only a form that has
	// hardly a letter or a digit exceeds it, and is then not sampled.
	maxGrams = 2048
)

// sampler knows the grams of all forms.
type sampler struct {
	step  int  // bytes from one sample to the next, 1 to gram
	reach int  // length of the longest beginning of a form up to the end of its window
	blind bool // a form has no usable window: every byte must be walked over
	table [1 << hashBits / 64]uint64
	grams map[uint64]struct{} // what the table only guesses
}

func (s *sampler) clone() sampler {
	c := *s
	c.grams = maps.Clone(s.grams)
	return c
}

// learn adds a form's window. It prefers long steps, then few symbols that have
// several spellings, then windows near the beginning.
func (s *sampler) learn(f form) {
	if s.grams == nil {
		s.grams = make(map[uint64]struct{})
		s.step = gram
	}
	for step := s.step; step > 0; step-- {
		n := step + gram - 1
		if n > len(f) {
			continue
		}
		at := plainest(f, n)
		grams, ok := gramsOf(f[at : at+n])
		if !ok {
			continue
		}
		for _, g := range grams {
			s.grams[g] = struct{}{}
			h := hash(g)
			s.table[h/64] |= 1 << (h % 64)
		}
		s.step = step
		s.reach = max(s.reach, longest(f[:at+n]))
		return
	}
	s.blind = true
}

func hash(g uint64) uint64 { return g * 0x9e3779b97f4a7c15 >> (64 - hashBits) }

// plainest finds the first window of n symbols with the fewest spellings.
func plainest(f form, n int) int {
	sum := 0
	for _, s := range f[:n] {
		sum += len(s)
	}
	best, at := sum, 0
	for i := n; i < len(f); i++ {
		sum += len(f[i]) - len(f[i-n])
		if sum < best {
			best, at = sum, i-n+1
		}
	}
	return at
}

// longest is the greatest length in bytes of a spelling of f.
func longest(f form) int {
	sum := 0
	for _, s := range f {
		most := 0
		for _, text := range s {
			most = max(most, len(text))
		}
		sum += most
	}
	return sum
}

// gramsOf lists every gram that lies in some spelling of f; false if there are
// too many.
func gramsOf(f form) ([]uint64, bool) {
	grams := make([]uint64, 0, 2*len(f))
	for i, s := range f {
		for _, text := range s {
			for off := range len(text) {
				var ok bool
				if grams, ok = extend(grams, 0, 0, text[off:], f[i+1:]); !ok {
					return nil, false
				}
			}
		}
	}
	return grams, true
}

// extend appends the grams that begin with the n bytes in g and then text.
func extend(grams []uint64, g uint64, n int, text string, rest form) ([]uint64, bool) {
	for i := 0; i < len(text) && n < gram; i++ {
		g |= uint64(text[i]) << (8 * n)
		n++
	}
	if n == gram {
		return append(grams, g), len(grams) < maxGrams
	}
	if len(rest) == 0 {
		return grams, true
	}
	ok := true
	for _, next := range rest[0] {
		if grams, ok = extend(grams, g, n, next, rest[1:]); !ok {
			break
		}
	}
	return grams, ok
}

// next returns the index of the next sampled gram in p[i:] that is one of a
// form, or len(p).
func (s *sampler) next(p []byte, i int) int {
	if s.blind || len(s.grams) == 0 {
		return len(p)
	}
	step, table := s.step, &s.table
	for i+gram <= len(p) {
		g := binary.LittleEndian.Uint64(p[i : i+gram])
		after := i + step
		if lowByteIn(g) {
			var ok bool
			if g, after, ok = gather(p, i, step); !ok {
				break
			}
		}
		if h := hash(g); table[h/64]>>(h%64)&1 != 0 {
			if _, ok := s.grams[g]; ok {
				return i
			}
		}
		i = after
	}
	return len(p)
}

// back returns the smallest index from low on from which at most reach bytes,
// line breaks not counted, lie before index i of p.
func (s *sampler) back(p []byte, low, i int) int {
	if s.blind {
		return low
	}
	for n := 0; i > low && n < s.reach; i-- {
		if !isBreak(p[i-1]) {
			n++
		}
	}
	return i
}
