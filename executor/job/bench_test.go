package job

import (
	"bytes"
	"os"
	"testing"
)

func BenchmarkParsePayload(b *testing.B) {
	text, err := os.ReadFile("testdata/honest_production.json")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := ParsePayload(bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
