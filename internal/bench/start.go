package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// sayMemory is the end of a script: it prints the peak of resident memory of
// the program that runs its shell.
const sayMemory = "\ngrep VmHWM /proc/$PPID/status\n"

// memoryTarget is in KiB.
const memoryTarget = 16 << 10

// measureStart runs an empty script by envrole-run, by the bare driver and by
// bash alone, in turn, and says what the other stages take.
func measureStart(ctx context.Context, o options) (rows []row, err error) {
	w, err := newWorld(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	parts := map[string]series{}
	var ours, bare, bash series
	peak := 0
	for jobs := max(1, o.starts/10); jobs > 0; jobs-- {
		j, err := w.open(ctx)
		if err != nil {
			return nil, err
		}
		for i := range 11 {
			a, err := j.call(ctx, w.ours.RunExec, "exit 0\n")
			if err != nil {
				return nil, err
			}
			b, err := j.call(ctx, w.bare.RunExec, "exit 0\n")
			if err != nil {
				return nil, err
			}
			c, err := j.call(ctx, []string{"bash"}, "exit 0\n")
			if err != nil {
				return nil, err
			}
			if i > 0 {
				ours, bare, bash = append(ours, a.wall), append(bare, b.wall), append(bash, c.wall)
			}
		}
		kib, err := j.memory(ctx, useRole)
		if err != nil {
			return nil, err
		}
		peak = max(peak, kib)
		if err := j.close(ctx); err != nil {
			return nil, err
		}
		for name, took := range j.parts {
			parts[name] = append(parts[name], took)
		}
	}
	for _, name := range []string{"config", "prepare", "cleanup"} {
		rows = append(rows, row{name: "stage " + name, ours: parts[name].String()})
	}
	return append(
		rows,
		row{name: "start of one run sub-stage, empty script", ours: ours.String(), theirs: bash.String() + " bash", ratio: times(float64(ours.median()), float64(bash.median()))},
		row{name: "  added to the bare driver", ours: ours.minus(bare).String(), theirs: bare.String() + " bare driver"},
		memoryRow("peak memory of envrole-run, small job", peak),
	), nil
}

func memoryRow(name string, kib int) row {
	return row{name: name, ours: mebibytes(kib), target: "<= 16 MiB", met: yesNo(kib <= memoryTarget)}
}

func mebibytes(kib int) string { return fmt.Sprintf("%.1f MiB", float64(kib)/1024) }

// memory runs a script by envrole-run and gives the peak of that program's
// resident memory, in KiB.
func (o *opened) memory(ctx context.Context, script string) (int, error) {
	u, err := o.call(ctx, o.w.ours.RunExec, script+sayMemory)
	if err != nil {
		return 0, err
	}
	return u.memory()
}

func (u usage) memory() (int, error) {
	_, after, found := strings.Cut(u.tail, "VmHWM:")
	after, _, _ = strings.Cut(after, "kB")
	kib, err := strconv.Atoi(strings.TrimSpace(after))
	if err != nil || !found {
		return 0, fmt.Errorf("no VmHWM in %q", u.tail)
	}
	return kib, nil
}

const printed = 100 << 20 // bytes, without the line breaks

// measureOutput runs a script that prints 100 MB, by envrole-run and by the bare
// driver in turn.
func measureOutput(ctx context.Context, o options) (rows []row, err error) {
	const script = `head -c 100M /dev/zero | tr '\0' x | fold -w 100` + sayMemory
	w, err := newWorld(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	j, err := w.open(ctx)
	if err != nil {
		return nil, err
	}
	var ours, bare, oursCPU, bareCPU series
	peak := 0
	for range o.bigRounds {
		a, err := j.call(ctx, w.ours.RunExec, script)
		if err != nil {
			return nil, err
		}
		b, err := j.call(ctx, w.bare.RunExec, script)
		if err != nil {
			return nil, err
		}
		if a.bytes < printed || b.bytes < printed {
			return nil, fmt.Errorf("%d and %d bytes of the log arrived", a.bytes, b.bytes)
		}
		kib, err := a.memory()
		if err != nil {
			return nil, err
		}
		peak = max(peak, kib)
		ours, bare = append(ours, a.wall), append(bare, b.wall)
		oursCPU, bareCPU = append(oursCPU, a.cpu), append(bareCPU, b.cpu)
	}
	ratio := float64(ours.median()) / float64(bare.median())
	return []row{
		{name: "job that prints 100 MB", ours: ours.String(), theirs: bare.String() + " bare driver", ratio: times(ratio, 1), target: "<= 1.1x", met: yesNo(ratio <= 1.1)},
		{name: "  its CPU time, every process", ours: oursCPU.String(), theirs: bareCPU.String(), ratio: times(float64(oursCPU.median()), float64(bareCPU.median()))},
		{name: "  added CPU time", ours: oursCPU.minus(bareCPU).String(), target: "named"},
		memoryRow("  peak memory of envrole-run meanwhile", peak),
	}, j.close(ctx)
}
