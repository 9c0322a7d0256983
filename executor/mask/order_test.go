package mask

import (
	"bytes"
	"strings"
	"testing"
)

// An end of the stream that was held back comes before what follows it, however
// large that is.
func TestWhatWasHeldBackKeepsItsPlace(t *testing.T) {
	const secret = "xK8sUeB0vQ2mZr5tY7wA9cE1gI3kM6oP4qS8uW0y"
	for _, size := range []int{1, 100, chunk/2 - 1, chunk / 2, chunk/2 + 1, chunk - 1, chunk, chunk + 1, 3 * chunk} {
		var out bytes.Buffer
		f, err := New(&out, secret)
		if err != nil {
			t.Fatal(err)
		}
		want := "a" + secret[:3] + strings.Repeat(".", size)
		for _, part := range []string{want[:4], want[4:]} {
			if _, err := f.Write([]byte(part)); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Flush(); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("%d bytes after a held beginning: it begins %.20q and ends %.20q", size, out.String(), out.String()[max(0, out.Len()-20):])
		}
	}
}
