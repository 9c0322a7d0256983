package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"envrole/internal/fakerunner"
)

// useRole is the work of the measured job: next to nothing, but it fails if it
// has no credentials, so that both sides have really lent a role.
const useRole = `test -n "$AWS_SESSION_TOKEN"`

// byHand is what a job without EnvRole does to get a role: the runner's own
// credentials are in its environment.
const byHand = `creds=$(%[1]s sts assume-role --role-arn %[2]s --role-session-name by-hand \
  --query 'Credentials.[AccessKeyId,SecretAccessKey,SessionToken]' --output text)
read -r AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN <<< "$creds"
export AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
`

// measureJobs runs whole jobs in turn: ours, the bare driver's, and the bare
// driver's that assumes its role with the aws command.
func measureJobs(ctx context.Context, o options) (rows []row, err error) {
	w, err := newWorld(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	aws, version := awsCommand(ctx)
	var ours, bare, hand, oursCPU, bareCPU, handCPU series
	for i := range o.rounds + 1 {
		a, err := w.timed(ctx, "our", &w.ours, useRole)
		if err != nil {
			return nil, err
		}
		b, err := w.timed(ctx, "bare", &w.bare, ":")
		if err != nil {
			return nil, err
		}
		var c usage
		if aws != "" {
			if c, err = w.timed(ctx, "by-hand", &w.bare, fmt.Sprintf(byHand, aws, deployRole)+useRole); err != nil {
				return nil, err
			}
		}
		if i > 0 { // the first round fills the caches of files
			ours, bare, hand = append(ours, a.wall), append(bare, b.wall), append(hand, c.wall)
			oursCPU, bareCPU, handCPU = append(oursCPU, a.cpu), append(bareCPU, b.cpu), append(handCPU, c.cpu)
		}
	}
	// The sessions that were assumed by hand live on: nobody takes them back.
	if want := len(hand) + 1; aws != "" && w.alive() != want {
		return nil, fmt.Errorf("%d sessions are alive, want the %d that were assumed by hand", w.alive(), want)
	}
	added := ours.minus(bare)
	rows = append(
		rows,
		row{name: "whole job", ours: ours.String(), theirs: bare.String() + " bare driver", ratio: times(float64(ours.median()), float64(bare.median()))},
		row{name: "  added by EnvRole", ours: added.String(), target: "<= 60 ms", met: yesNo(added.median() <= 60*time.Millisecond)},
	)
	cpu := row{name: "  added processor time; by aws sts assume-role", ours: oursCPU.minus(bareCPU).String()}
	r := row{name: "  added by aws sts assume-role in the script", ours: added.String(), target: ">= 10x"}
	if aws == "" {
		r.theirs, r.met = "NOT MEASURED: there is no aws command on PATH", "?"
		fmt.Fprintln(os.Stderr, "\nWARNING: there is no aws command on PATH; the comparison with it is NOT MEASURED")
	} else {
		cli := hand.minus(bare)
		r.theirs, r.ratio = cli.String()+" "+version, times(float64(cli.median()), float64(added.median()))
		r.met = yesNo(cli.median() >= 10*added.median())
		cliCPU := handCPU.minus(bareCPU)
		cpu.theirs, cpu.ratio = cliCPU.String(), times(float64(cliCPU.median()), float64(oursCPU.minus(bareCPU).median()))
	}
	return append(rows, r, cpu), nil
}

// timed runs one whole job and gives its time, from the runner's first file to
// the removal of its last, and the processor time of all its processes.
func (w *world) timed(ctx context.Context, who string, runner *fakerunner.Runner, script string) (usage, error) {
	payload, err := w.payload()
	if err != nil {
		return usage{}, err
	}
	start, cpu := time.Now(), childrenCPU()
	res := runner.Run(ctx, job(payload, script))
	return usage{wall: time.Since(start), cpu: childrenCPU() - cpu}, failed(who, res)
}

// childrenCPU is the processor time of every process that was waited for.
func childrenCPU() time.Duration {
	var ru unix.Rusage
	if unix.Getrusage(unix.RUSAGE_CHILDREN, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// awsCommand finds the aws command and its version; "" if there is none. The
// shim of a version manager is passed by: it would be measured too.
func awsCommand(ctx context.Context) (path, version string) {
	path, err := exec.LookPath("aws")
	if err != nil {
		return "", ""
	}
	if strings.Contains(path, "/shims/") {
		if out, err := exec.CommandContext(ctx, "pyenv", "which", "aws").Output(); err == nil {
			path = strings.TrimSpace(string(out))
		}
	}
	out, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
	if err != nil {
		return "", ""
	}
	version, _, _ = strings.Cut(string(out), " ")
	return path, version
}
