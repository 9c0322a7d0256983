package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// row is one line of the table. Ratio and target are empty where there is
// nothing to compare with.
type row struct {
	name, ours, theirs, ratio, target string
	met                               string // "yes", "no" or ""
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func printTable(out io.Writer, rows []row) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tOURS\tTHEIRS\tRATIO\tTARGET\tMET")
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join([]string{r.name, r.ours, r.theirs, r.ratio, r.target, r.met}, "\t"))
	}
	return w.Flush()
}

// series is what one thing took, again and again.
type series []time.Duration

func (s series) sorted() series {
	out := slices.Clone(s)
	slices.Sort(out)
	return out
}

func (s series) median() time.Duration {
	if len(s) == 0 {
		return 0
	}
	return s.sorted()[len(s)/2]
}

// String is the median and, in brackets, the least and the most.
func (s series) String() string {
	if len(s) == 0 {
		return "-"
	}
	o := s.sorted()
	return fmt.Sprintf("%s (%s..%s)", millis(s.median()), millis(o[0]), millis(o[len(o)-1]))
}

// minus is the difference of each round: what both sides share of the
// machine's mood drops out.
func (s series) minus(other series) series {
	out := make(series, min(len(s), len(other)))
	for i := range out {
		out[i] = s[i] - other[i]
	}
	return out
}

func millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 100 && ms > -100 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

func times(a, b float64) string {
	if b <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fx", a/b)
}

// machine says what the numbers were measured on.
func machine() string {
	var u unix.Utsname
	kernel := "unknown"
	if err := unix.Uname(&u); err == nil {
		kernel = unix.ByteSliceToString(u.Release[:])
	}
	model := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, ok := strings.CutPrefix(line, "model name"); ok {
				model = strings.TrimSpace(strings.TrimLeft(name, "\t :"))
				break
			}
		}
	}
	load := "unknown"
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(b))[:1], "")
	}
	// Cleanup looks at every process of the host, so their number counts.
	processes, _ := filepath.Glob("/proc/[0-9]*")
	return fmt.Sprintf("machine: %d cores (%s), Linux %s, %s; before the run: load %s, %d processes",
		runtime.NumCPU(), model, kernel, runtime.Version(), load, len(processes))
}
