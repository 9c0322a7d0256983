package mask

import (
	"encoding/binary"
	"math/bits"
)

// This file promises to read 8 bytes of the stream as if it had no line breaks,
// at the price of one load where it has none. gatherSlowly says what is meant;
// the rest is there for speed.

// gram is the number of bytes looked at together: a machine word.
const gram = 8

func isBreak(c byte) bool { return c == '\n' || c == '\r' }

// ones has 1 in each byte: times c it is a word of bytes c.
const ones = 0x0101010101010101

// lowByteIn says whether a byte of g is at most \r: a line break, a tab or a
// byte that hardly occurs in text.
func lowByteIn(g uint64) bool { return (g-ones*('\r'+1))&^g&(ones<<7) != 0 }

// breakIn returns the index of the first line break in the word g, gram if
// there is none.
func breakIn(g uint64) int {
	n, r := g^ones*'\n', g^ones*'\r'
	// A zero byte gives a high bit; those above the first are not exact.
	zeros := ((n-ones)&^n | (r-ones)&^r) & (ones << 7)
	return bits.TrailingZeros64(zeros) / 8
}

// gather reads the gram at i over line breaks. It returns the index after step
// bytes, line breaks not counted; false if p ends inside the gram.
func gather(p []byte, i, step int) (g uint64, after int, ok bool) {
	// Nearly always there is one line break, with a longer line after it.
	g = binary.LittleEndian.Uint64(p[i:])
	n := breakIn(g)
	if n == gram {
		return g, i + step, true
	}
	j := i + n
	for j < len(p) && isBreak(p[j]) {
		j++
	}
	if j+gram > len(p) || n >= step {
		return gatherSlowly(p, i, step)
	}
	rest := binary.LittleEndian.Uint64(p[j:])
	if breakIn(rest) < gram-n {
		return gatherSlowly(p, i, step)
	}
	return g&(1<<(8*n)-1) | rest<<(8*n), j + step - n, true
}

func gatherSlowly(p []byte, i, step int) (g uint64, after int, ok bool) {
	n := 0
	for ; i < len(p); i++ {
		if isBreak(p[i]) {
			continue
		}
		if n == step {
			after = i
		}
		g |= uint64(p[i]) << (8 * n)
		if n++; n == gram {
			if step == gram {
				after = i + 1
			}
			return g, after, true
		}
	}
	return 0, 0, false
}
