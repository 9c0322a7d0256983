package mask

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// awsLike returns a secret of n characters as AWS makes them, always the same
// for one seed.
func awsLike(n int, seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = base64Alphabet[r.IntN(64)]
	}
	return string(b)
}

func awsKey() string   { return awsLike(40, 1) }
func awsToken() string { return "IQoJb3JpZ2luX2VjEJr//////////wEa" + awsLike(767, 2) + "=" }

// ordinaryLog is n bytes of what builds print.
func ordinaryLog(n int) []byte {
	r := rand.New(rand.NewPCG(7, 7))
	words := strings.Fields("the go: downloading github.com/aws/aws-sdk-go-v2 v1.47.7 [INFO] BUILD npm WARN deprecated package " +
		"0a1b2c3d4e5f sha256:9f86d081884c7d65 Running tests ok PASS took 1.23s Compiling cached layer Step 3/12 : RUN apt-get install -y " +
		"Uploading artifacts... 100% /usr/lib/x86_64-linux-gnu/libc.so.6 error=nil level=info msg=\"request done\" status=200")
	var b bytes.Buffer
	for b.Len() < n {
		fmt.Fprintf(&b, "2026-05-04T10:%02d:%02dZ", r.IntN(60), r.IntN(60))
		for range 3 + r.IntN(9) {
			b.WriteByte(' ')
			b.WriteString(words[r.IntN(len(words))])
		}
		b.WriteByte('\n')
	}
	return b.Bytes()[:n]
}

func benchmark(b *testing.B, text []byte, size int, secrets ...string) {
	b.Helper()
	f, err := New(io.Discard, secrets...)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if i+size > len(text) {
			i = 0
		}
		if _, err := f.Write(text[i : i+size]); err != nil {
			b.Fatal(err)
		}
		i += size
	}
}

func BenchmarkFilterOrdinary4K(b *testing.B) {
	benchmark(b, ordinaryLog(1<<20), 4096, awsKey(), awsToken())
}

func BenchmarkFilterOrdinaryLines(b *testing.B) {
	benchmark(b, ordinaryLog(1<<20), 80, awsKey(), awsToken())
}

func BenchmarkFilterAdversarial(b *testing.B) {
	key, token := awsKey(), awsToken()
	for name, unit := range map[string]string{
		"AlmostToken":    token[:len(token)-1] + ".",
		"Grams":          token[4:20],
		"Heads":          token[:1],
		"EmptyLines":     "\n",
		"ShortLines":     "y\n",
		"TokenByteALine": strings.Join(strings.Split(token[:200], ""), "\r\n\r\n"),
		"Secrets":        key + "\n",
	} {
		text := []byte(strings.Repeat(unit, 1+1<<20/len(unit)))
		b.Run(name, func(b *testing.B) { benchmark(b, text, 4096, key, token) })
	}
	same := strings.Repeat("A", 40)
	b.Run("SameLetter", func(b *testing.B) { benchmark(b, bytes.Repeat([]byte("A"), 1<<20), 4096, same) })
	almost := []byte(strings.Repeat(strings.Repeat("A", 39)+"B", 1<<15))
	b.Run("AlmostSameLetter", func(b *testing.B) { benchmark(b, almost, 4096, same) })
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(io.Discard, awsKey(), awsToken()); err != nil {
			b.Fatal(err)
		}
	}
}
