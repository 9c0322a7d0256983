package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// result is one line of a Go benchmark.
type result struct {
	perOp  time.Duration
	mbps   float64 // megabytes a second, 0 if the benchmark counts none
	allocs int     // a run; -1 if it is not said
}

// measureGo runs the Go benchmarks of what happens inside one process.
func measureGo(ctx context.Context, _ options) ([]row, error) {
	filter, err := benchmarks(ctx, "./executor/mask/", "Filter")
	if err != nil {
		return nil, err
	}
	decide, err := benchmarks(ctx, "./roles/", "Decide10000")
	if err != nil {
		return nil, err
	}
	blocks, lines := filter["FilterOrdinary4K"], filter["FilterOrdinaryLines"]
	worst, name := result{}, ""
	for n, r := range filter {
		if strings.HasPrefix(n, "FilterAdversarial/") && (name == "" || r.mbps < worst.mbps) {
			worst, name = r, strings.TrimPrefix(n, "FilterAdversarial/")
		}
	}
	first, deep := decide["Decide10000"], decide["Decide10000Deep"]
	if blocks.mbps == 0 || lines.mbps == 0 || name == "" || first.perOp == 0 || deep.perOp == 0 {
		return nil, fmt.Errorf("a benchmark is missing: %v %v", filter, decide)
	}
	decision := func(name string, r result) row {
		return row{name: name, ours: fmt.Sprintf("%.2f ms", float64(r.perOp)/1e6), target: "<= 1 ms", met: yesNo(r.perOp <= time.Millisecond)}
	}
	return []row{
		{name: "log filter, ordinary text, 4 KiB a write", ours: fmt.Sprintf("%.2f GB/s, %d allocations", blocks.mbps/1000, blocks.allocs), target: ">= 1 GB/s, 0", met: yesNo(blocks.mbps >= 1000 && blocks.allocs == 0)},
		{name: "log filter, one line a write", ours: fmt.Sprintf("%.2f GB/s", lines.mbps/1000)},
		{name: "log filter, text made to slow it (" + name + ")", ours: fmt.Sprintf("%.1f MB/s", worst.mbps)},
		decision("decision over 10,000 rules", first),
		decision("decision over 10,000 rules, made to be slow", deep),
	}, nil
}

// benchmarks runs those of a package whose names match, three times, and gives
// the best of each: other work on the machine only ever makes them slower.
func benchmarks(ctx context.Context, pkg, match string) (map[string]result, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", match, "-benchmem", "-benchtime", "200ms", "-count", "3", pkg)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return parseBenchmarks(out), nil
}

func parseBenchmarks(out []byte) map[string]result {
	cores := regexp.MustCompile(`-\d+$`)
	best := map[string]result{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name := cores.ReplaceAllString(strings.TrimPrefix(f[0], "Benchmark"), "")
		r := result{allocs: -1}
		for i := 2; i+1 < len(f); i += 2 {
			n, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				continue
			}
			switch f[i+1] {
			case "ns/op":
				r.perOp = time.Duration(n)
			case "MB/s":
				r.mbps = n
			case "allocs/op":
				r.allocs = int(n)
			}
		}
		if old, ok := best[name]; r.perOp > 0 && (!ok || r.perOp < old.perOp) {
			best[name] = r
		}
	}
	return best
}
