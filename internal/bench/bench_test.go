package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestBenchmarkLinesAreReadAndTheBestOfEachIsKept(t *testing.T) {
	got := parseBenchmarks([]byte(`goos: linux
BenchmarkFilterOrdinary4K-2   	 1000	   2000 ns/op	2048.00 MB/s	   0 B/op	   0 allocs/op
BenchmarkFilterOrdinary4K-2   	 1000	   1000 ns/op	4096.00 MB/s	   0 B/op	   0 allocs/op
BenchmarkFilterAdversarial/Short-Lines-2   	 1000	   4000 ns/op	1024.00 MB/s
BenchmarkDecide10000-16   	   50	  123456 ns/op
PASS
`))
	want := map[string]result{
		"FilterOrdinary4K":              {perOp: 1000, mbps: 4096, allocs: 0},
		"FilterAdversarial/Short-Lines": {perOp: 4000, mbps: 1024, allocs: -1},
		"Decide10000":                   {perOp: 123456, allocs: -1},
	}
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: got %+v, want %+v", name, got[name], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
}

func TestSeriesAreComparedRoundByRound(t *testing.T) {
	ours := series{10 * time.Millisecond, 40 * time.Millisecond, 12 * time.Millisecond}
	theirs := series{4 * time.Millisecond, 33 * time.Millisecond, 4 * time.Millisecond}
	if got := ours.minus(theirs).median(); got != 7*time.Millisecond {
		t.Errorf("median of the differences: got %v", got)
	}
	if got := ours.String(); got != "12.0 ms (10.0 ms..40.0 ms)" {
		t.Errorf("got %q", got)
	}
}

func TestTheEndOfALogIsKeptAcrossReads(t *testing.T) {
	in := strings.Repeat("x", 70<<10) + "VmHWM:\t    5248 kB\n"
	u, err := consume(oneByte{strings.NewReader(in)})
	if err != nil || u.bytes != len(in) {
		t.Fatal(u.bytes, err)
	}
	if kib, err := u.memory(); err != nil || kib != 5248 {
		t.Errorf("got %d, %v", kib, err)
	}
	if _, err := (usage{tail: "no such line"}).memory(); err == nil {
		t.Error("a log without the line gave a number")
	}
}

// oneByte gives a byte a read, the worst that a pipe can do.
type oneByte struct{ r *strings.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:1]) }

func TestAnAbsentComparisonIsShown(t *testing.T) {
	var out bytes.Buffer
	if err := printTable(&out, []row{{name: "a", ours: "1 ms", theirs: "NOT MEASURED", target: "<= 2 ms", met: "?"}}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "NOT MEASURED") || !strings.HasPrefix(out.String(), "WHAT") {
		t.Error(out.String())
	}
}

func TestCoveredCountsOverlapsOnce(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	spans := []span{{at(50), at(60)}, {at(0), at(20)}, {at(10), at(30)}, {at(12), at(15)}, {at(90), at(200)}}
	if got := covered(spans, at(5), at(100)); got != 45*time.Millisecond {
		t.Errorf("got %s, want 45ms", got)
	}
}
