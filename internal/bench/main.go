// Command bench measures what EnvRole costs, beside what a job costs without
// it: whole jobs through the real stage binaries on an embedded AWS and GitLab,
// and the same jobs under the smallest driver there can be. It measures and
// asserts nothing about time: it ends with a non-zero code only if something
// failed to work.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options say how much is measured.
type options struct {
	bin, testdata    string
	rounds, starts   int
	bigRounds, crowd int
	only             string
	engine           string
}

func main() {
	if kind := os.Getenv(clientFor); kind != "" {
		os.Exit(asker(kind))
	}
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "directory of the stage binaries")
	flag.StringVar(&o.testdata, "testdata", "executor", "directory whose job/testdata and proof/testdata hold payloads")
	flag.IntVar(&o.rounds, "rounds", 21, "whole jobs of each kind")
	flag.IntVar(&o.starts, "starts", 101, "starts of one run sub-stage of each kind")
	flag.IntVar(&o.bigRounds, "big", 7, "jobs of each kind that print 100 MB")
	flag.IntVar(&o.crowd, "crowd", 200, "jobs at once")
	flag.StringVar(&o.only, "only", "", "measure only these, by comma: "+strings.Join(names(), ", "))
	flag.StringVar(&o.engine, "engine", cmp.Or(os.Getenv("DOCKER_HOST"), "unix:///var/run/docker.sock"), "Docker Engine for jobs in containers; only unix:// addresses")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "\nsomething did not work:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to do that the defers do
	}
}

// measure is one part of the run: it gives rows of the table.
type measure struct {
	name string
	run  func(context.Context, options) ([]row, error)
}

// measures are in the order in which they run: the quiet ones first.
func measures() []measure {
	return []measure{
		{"jobs", measureJobs},
		{"start", measureStart},
		{"output", measureOutput},
		{"endpoint", measureEndpoint},
		{"renewals", measureRenewals},
		{"docker", measureDocker},
		{"go", measureGo},
		{"crowd", measureCrowd},
	}
}

func names() []string {
	var out []string
	for _, m := range measures() {
		out = append(out, m.name)
	}
	return out
}

func run(ctx context.Context, o options) error {
	fmt.Println(machine())
	var rows []row
	for _, m := range measures() {
		if o.only != "" && !strings.Contains(","+o.only+",", ","+m.name+",") {
			continue
		}
		start := time.Now()
		fmt.Printf("measuring %-8s ... ", m.name)
		got, err := m.run(ctx, o)
		if err != nil {
			fmt.Println("failed")
			return fmt.Errorf("measure %s: %w", m.name, err)
		}
		fmt.Printf("%.0f s\n", time.Since(start).Seconds())
		rows = append(rows, got...)
	}
	fmt.Println()
	return printTable(os.Stdout, rows)
}
