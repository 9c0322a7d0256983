package mask

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawSecret draws what AWS makes, and worse: secrets of two letters, which
// overlap with themselves, and of characters that every encoder escapes.
func drawSecret(t *rapid.T) string {
	alphabet := rapid.SampledFrom([]string{base64Alphabet, base64Alphabet, base64Alphabet, "ab", "a/", "/+=", `%25\u0/` + `"<& `}).Draw(t, "alphabet")
	n := rapid.SampledFrom([]int{8, 9, 14, 15, 20, 40, 40, 70}).Draw(t, "length")
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[rapid.IntRange(0, len(alphabet)-1).Draw(t, "c")]
	}
	return string(b)
}

// drawOccurrence spells a form of a secret in one of its ways, in lines of a
// width or broken anywhere.
func drawOccurrence(t *rapid.T, secret string) string {
	form := rapid.SampledFrom(refForms(secret)).Draw(t, "form")
	style := rapid.IntRange(-1, 5).Draw(t, "style")
	var b strings.Builder
	for _, spellings := range form {
		i := style
		if style < 0 {
			i = rapid.IntRange(0, len(spellings)-1).Draw(t, "spelling")
		}
		b.WriteString(spellings[min(i, len(spellings)-1)])
	}
	text := b.String()
	width := rapid.SampledFrom([]int{0, 0, 1, 3, 10, 60, 64, 76}).Draw(t, "width")
	if width == 0 {
		return text
	}
	br := rapid.SampledFrom([]string{"\n", "\r\n", "\n\n", "\r\n\r\n"}).Draw(t, "break")
	col := rapid.IntRange(0, width-1).Draw(t, "column")
	b.Reset()
	for i := range len(text) {
		if i > 0 && (i+col)%width == 0 {
			b.WriteString(br)
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// drawPiece draws a piece of a log: ordinary text, noise, secrets, parts of them.
func drawPiece(t *rapid.T, secrets []string, ordinary string) string {
	secret := rapid.SampledFrom(secrets).Draw(t, "secret")
	switch rapid.IntRange(0, 6).Draw(t, "piece") {
	case 0:
		n := rapid.SampledFrom([]int{1, 10, 100, 700}).Draw(t, "n")
		from := rapid.IntRange(0, len(ordinary)-n).Draw(t, "from")
		return ordinary[from : from+n]
	case 1:
		return rapid.StringOfN(rapid.RuneFrom([]rune(secret+"%\\u\r\n")), 0, 12, -1).Draw(t, "noise")
	case 2:
		return strings.Repeat("\n", rapid.IntRange(0, 6).Draw(t, "breaks"))
	case 3:
		o := drawOccurrence(t, secret)
		from := rapid.IntRange(0, len(o)-1).Draw(t, "from")
		return o[from : from+rapid.IntRange(0, len(o)-from).Draw(t, "part")]
	default:
		return drawOccurrence(t, secret)
	}
}

// filterAgreesWithReference is the one property: however a stream is cut into
// writes, what comes out, what is counted and what is held back after each
// write is what the reference says.
func filterAgreesWithReference(t *rapid.T) {
	secrets := rapid.SliceOfN(rapid.Custom(drawSecret), 1, 3).Draw(t, "secrets")
	ordinary := string(ordinaryLog(2000))
	var b strings.Builder
	for range rapid.IntRange(0, 5).Draw(t, "pieces") {
		b.WriteString(drawPiece(t, secrets, ordinary))
	}
	text := b.String()
	var out bytes.Buffer
	f, err := New(&out, secrets...)
	if err != nil {
		t.Fatal(err)
	}
	most := rapid.SampledFrom([]int{1, 5, 50, 500, 5000}).Draw(t, "most")
	ref := newReference(secrets)
	checks := 0
	for from := 0; from < len(text); {
		to := min(len(text), from+rapid.IntRange(1, most).Draw(t, "write"))
		if _, err := f.Write([]byte(text[from:to])); err != nil {
			t.Fatal(err)
		}
		if checks++; checks < 4 || to == len(text) {
			_, _, held := ref.filter(text[:to])
			if got := f.walker.pos - f.walker.oldest(); got != int64(held) {
				t.Fatalf("holds back %d bytes of %q, want %d", got, text[:to], held)
			}
		}
		from = to
	}
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	want, markers, _ := ref.filter(text)
	if out.String() != want {
		t.Fatalf("of %q\n got %q\nwant %q", text, out.String(), want)
	}
	if f.Masked() != int64(markers) {
		t.Fatalf("counted %d markers, want %d", f.Masked(), markers)
	}
	// Said once more without the reference, for the plain cases.
	flat := strings.NewReplacer("\r", "", "\n", "").Replace(out.String())
	for _, s := range secrets {
		if len(s) >= 14 && strings.Contains(flat, s) && !strings.Contains(text, "\n\n\n") && !strings.Contains(text, "\r\n\r\n") {
			t.Fatalf("%q is still in %q", s, flat)
		}
	}
}

// largeWrites are sizes about the filter's own limits and those of its callers:
// a pipe's 64 KiB, io.Copy's 32 KiB, chunk and half of it.
func largeWrites() []int {
	return []int{32<<10 - 1, 32 << 10, 32<<10 + 1, 40 << 10, chunk - 1, chunk, chunk + 1, 100 << 10, 3*chunk + 7}
}

// largeWritesAgree says that a log of hundreds of KiB in writes of more than 32 KiB,
// with secrets where a write, a half or a whole buffer ends, comes out as it does
// in small ones, for which the reference speaks.
func largeWritesAgree(t *rapid.T) {
	secrets := rapid.SliceOfN(rapid.Custom(drawSecret), 1, 3).Draw(t, "secrets")
	ordinary := string(ordinaryLog(4 * chunk))
	sizes := rapid.SliceOfN(rapid.SampledFrom(largeWrites()), 1, 3).Draw(t, "writes")
	var b strings.Builder
	var cuts []int
	for _, size := range sizes {
		cuts = append(cuts, b.Len()+size)
		// Secrets inside the write, at the bounds of the buffers, and over its end.
		for _, at := range []int{rapid.IntRange(0, size-1).Draw(t, "inside"), chunk / 2, chunk, size} {
			end := cuts[len(cuts)-1] - size + min(at, size)
			o := drawOccurrence(t, rapid.SampledFrom(secrets).Draw(t, "secret"))
			if at := end - rapid.IntRange(0, len(o)).Draw(t, "before"); at > b.Len() {
				b.WriteString(ordinary[:at-b.Len()])
				b.WriteString(o)
			}
		}
		if missing := cuts[len(cuts)-1] - b.Len(); missing > 0 {
			b.WriteString(ordinary[len(ordinary)-missing:])
		}
	}
	text := b.String()
	masked := func(cuts []int) (string, int64) {
		var out bytes.Buffer
		f, err := New(&out, secrets...)
		if err != nil {
			t.Fatal(err)
		}
		from := 0
		for _, to := range append(cuts, len(text)) {
			if _, err := f.Write([]byte(text[from:to])); err != nil {
				t.Fatal(err)
			}
			from = to
		}
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
		return out.String(), f.Masked()
	}
	var small []int
	for at := 0; at < len(text); {
		small = append(small, at)
		at += rapid.SampledFrom([]int{1, 77, 500, 5000}).Draw(t, "small")
	}
	want, markers := masked(small)
	if got, n := masked(cuts); got != want || n != markers {
		at := 0
		for at < min(len(got), len(want)) && got[at] == want[at] {
			at++
		}
		t.Fatalf("%d bytes of %d with %d markers, want %d with %d; they part at %d: got %.100q, want %.100q", len(got), len(text), n, len(want), markers, at, got[at:], want[at:])
	}
}

func TestLargeWritesAreMaskedAsSmallOnesAre(t *testing.T) {
	rapid.Check(t, largeWritesAgree)
}

// The same stream is the same log in writes of any size: what the reference says.
func TestTheSizeOfWritesChangesNothing(t *testing.T) {
	secrets := []string{awsKey(), awsLike(200, 3)}
	var b bytes.Buffer
	for i := range 5 {
		b.Write(ordinaryLog(chunk/2 + 31*i))
		b.WriteString(secrets[i%2])
	}
	text := b.Bytes()
	want, markers, _ := newReference(secrets).filter(string(text))
	if markers != 5 {
		t.Fatalf("the reference finds %d secrets", markers)
	}
	for _, size := range append([]int{1, 4096}, largeWrites()...) {
		var out bytes.Buffer
		f, err := New(&out, secrets...)
		if err != nil {
			t.Fatal(err)
		}
		for from := 0; from < len(text); from += size {
			if _, err := f.Write(text[from:min(from+size, len(text))]); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
		if out.String() != want || f.Masked() != 5 {
			t.Errorf("writes of %d bytes: %d bytes, %d markers; want %d", size, out.Len(), f.Masked(), len(want))
		}
	}
}

func TestAnyStreamInAnyWritesIsMaskedAsTheReferenceDoes(t *testing.T) {
	rapid.Check(t, filterAgreesWithReference)
}

func FuzzFilter(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(filterAgreesWithReference))
}

// FuzzBytes gives arbitrary bytes to a filter with AWS's secrets, twice as cut
// by the fuzzer.
func FuzzBytes(f *testing.F) {
	secrets := []string{awsKey(), awsLike(200, 3)}
	ref := newReference(secrets)
	f.Add([]byte("plain"), 2, 3)
	f.Add([]byte("a\r\n"+awsKey()[:20]+"\r\n"+awsKey()[20:]+" "), 9, 30)
	f.Add([]byte(fmt.Sprintf("%x", awsKey())), 9, 30)
	f.Fuzz(func(t *testing.T, text []byte, a, b int) {
		n := len(text) + 1
		a, b = (a%n+n)%n, (b%n+n)%n
		var out bytes.Buffer
		m, err := New(&out, secrets...)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range [][]byte{text[:min(a, b)], text[min(a, b):max(a, b)], text[max(a, b):]} {
			if _, err := m.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Flush(); err != nil {
			t.Fatal(err)
		}
		if want, _, _ := ref.filter(string(text)); out.String() != want {
			t.Errorf("of %q\n got %q\nwant %q", text, out.String(), want)
		}
	})
}
