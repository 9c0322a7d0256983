package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"envrole/internal/fakerunner"
)

// measureCrowd runs many jobs at once, all with one role, and counts what they
// asked of AWS and GitLab.
func measureCrowd(ctx context.Context, o options) (rows []row, err error) {
	w, err := newWorld(o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	bare, err := w.together(ctx, o.crowd, &w.bare, ":")
	if err != nil {
		return nil, err
	}
	ours, err := w.together(ctx, o.crowd, &w.ours, useRole)
	if err != nil {
		return nil, err
	}
	lent, revoker := 0, 0
	for _, c := range w.aws.Calls() {
		switch {
		case c.Action != "AssumeRole":
		case c.Role == deployRole:
			lent++
		default:
			revoker++
		}
	}
	puts, asked, alive := w.aws.Count("PutRolePolicy"), len(w.gitlab.Requests()), w.alive()
	if alive > 0 || len(w.aws.Sessions()) < o.crowd {
		return nil, fmt.Errorf("of %d jobs' sessions %d are still alive", o.crowd, alive)
	}
	each := func(n int) string { return fmt.Sprintf("%.2f a job", float64(n)/float64(o.crowd)) }
	return []row{
		{name: fmt.Sprintf("%d jobs at once", o.crowd), ours: seconds(ours), theirs: seconds(bare) + " bare driver", ratio: times(float64(ours), float64(bare))},
		{name: "  failures; sessions alive afterwards", ours: fmt.Sprintf("0; %d", alive), target: "0; 0", met: "yes"},
		{name: "  AssumeRole to lend", ours: fmt.Sprint(lent), ratio: each(lent), target: "1 a job", met: yesNo(lent == o.crowd)},
		{name: "  AssumeRole of the revoker; PutRolePolicy", ours: fmt.Sprintf("%d; %d", revoker, puts), ratio: each(revoker), target: "1 a group commit", met: yesNo(revoker <= puts)},
		{name: "  GitLab calls", ours: fmt.Sprint(asked), ratio: each(asked), target: "2 a job", met: yesNo(asked <= 2*o.crowd)},
	}, nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// together runs n jobs at once and gives the time until the last has ended.
func (w *world) together(ctx context.Context, n int, runner *fakerunner.Runner, script string) (time.Duration, error) {
	payloads := make([][]byte, n)
	for i := range payloads {
		var err error
		if payloads[i], err = w.payload(); err != nil {
			return 0, err
		}
	}
	errs := make([]error, n)
	var all sync.WaitGroup
	start := time.Now()
	for i, payload := range payloads {
		all.Go(func() {
			own := *runner
			errs[i] = failed("one", own.Run(ctx, job(payload, script)))
		})
	}
	all.Wait()
	took := time.Since(start)
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) > 0 {
		return 0, fmt.Errorf("%d of %d jobs failed, the first: %w", len(errs), n, errs[0])
	}
	return took, nil
}
