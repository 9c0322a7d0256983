package run

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"envrole/internal/handover"
	"envrole/roles/fault"
	"envrole/roles/lease"
)

// deliveryOf is a delivery of the bench's session in a job that ends after that
// time.
func (b *bench) deliveryOf(how string, ends time.Duration) *delivery {
	b.session.Delivery = how
	return &delivery{state: handover.State{
		Session: &b.session, Renewal: &handover.Renewal{}, Deadline: time.Now().Add(ends + handover.Grace),
	}}
}

// What is served can be renewed while the script runs; what stands in the
// environment must be enough for all of it.
func TestWhetherASessionIsRenewedBeforeAScript(t *testing.T) {
	const h, m = time.Hour, time.Minute
	for _, tc := range []struct {
		how           string
		timeout, life time.Duration
		after         time.Duration // when the script begins
		stage         string
		asks          int32
	}{
		{"endpoint", 6 * h, h, 30 * m, "build_script", 0},
		{"endpoint", 6 * h, h, 41 * m, "build_script", 1},
		{"profile", 6 * h, 15 * m, 5 * m, "build_script", 0},
		{"env", 6 * h, h, 30 * m, "build_script", 1},
		{"", 6 * h, h, 30 * m, "build_script", 1},
		{"env", 6 * h, h, 5 * m, "build_script", 0}, // as good as new
		{"env", 6 * h, 15 * m, 2 * m, "build_script", 1},
		{"env", 90 * m, h, 29 * m, "build_script", 1},
		{"env", 90 * m, h, 70 * m, "build_script", 1}, // it has ended
		// A timeout no longer than the session: no call to STS beyond the first.
		{"env", h, h, 20 * m, "build_script", 0},
		{"env", h, h, 45 * m, "build_script", 0},
		{"env", h, h, 59 * m, "build_script", 0},
		{"env", 30 * m, h, 25 * m, "after_script", 0},
		{"env", h, h, 59 * m, "after_script", 1}, // it may run on after the timeout
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, tc.life)
			d := b.deliveryOf(tc.how, tc.timeout)
			time.Sleep(tc.after)
			d.needs(b.source, tc.stage)
			if err := d.renewDue(t.Context(), b.source); err != nil || b.asked.Load() != tc.asks {
				t.Errorf("%+v: STS was asked %d times: %v", tc, b.asked.Load(), err)
			}
			b.running.Wait()
		})
	}
}

// STS does not answer. A script whose session is renewed while it runs need not
// wait for that; one that lives with what it is given does.
func TestHowLongAScriptWaitsForARenewal(t *testing.T) {
	for name, tc := range map[string]struct {
		how   string
		left  time.Duration
		waits time.Duration
		fails bool
	}{
		"served, much is left":   {"endpoint", 19 * time.Minute, 5 * time.Second, false},
		"served, little is left": {"endpoint", 5 * time.Minute, 40 * time.Second, false},
		"served, nothing":        {"endpoint", 0, 40 * time.Second, true},
		"not served":             {"env", 19 * time.Minute, 40 * time.Second, false},
		"not served, nothing":    {"env", 0, 40 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, time.Hour)
				d := b.deliveryOf(tc.how, 6*time.Hour)
				b.answer = func(int32) error { time.Sleep(40 * time.Second); return passing() }
				time.Sleep(time.Hour - tc.left)
				d.needs(b.source, "build_script")
				began := time.Now()
				err := d.renewDue(t.Context(), b.source)
				if waited := time.Since(began); waited != tc.waits || (err != nil) != tc.fails {
					t.Errorf("waited %s: %v", waited, err)
				}
				b.running.Wait()
			})
		})
	}
}

// A script gets nothing of a session that is not to be used any more, in
// whatever way it is delivered.
func TestNothingIsReadyForALeaseThatEnded(t *testing.T) {
	for what, end := range map[string]func(*testing.T, *bench){
		"the job's deadline has passed": func(*testing.T, *bench) { time.Sleep(25 * time.Hour) },
		"the session is being taken back": func(t *testing.T, b *bench) {
			b.set(t, func(le *lease.Lease) { le.State = lease.Closing })
		},
	} {
		for _, how := range []string{"env", "endpoint"} {
			t.Run(what+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBench(t, 48*time.Hour)
					d := b.deliveryOf(how, 24*time.Hour)
					if err := d.ready(t.Context(), b.source, "build_script"); err != nil {
						t.Fatal(err)
					}
					end(t, b)
					err := d.ready(t.Context(), b.source, "build_script")
					if fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), what) {
						t.Errorf("got %v", err)
					}
					if b.asked.Load() != 0 {
						t.Error("STS was asked")
					}
				})
			})
		}
	}
}

// The same where it ends while STS is asked.
func TestNothingIsReadyForALeaseThatEndedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, time.Hour)
		d := b.deliveryOf("env", 6*time.Hour)
		b.answer = func(int32) error { b.set(t, func(le *lease.Lease) { le.State = lease.Closing }); return nil }
		time.Sleep(30 * time.Minute)
		if err := d.ready(t.Context(), b.source, "build_script"); fault.ClassOf(err) != fault.Refused {
			t.Errorf("got %v", err)
		}
	})
}

// What fails before the script begins is not told again while it runs, and that it
// came right in the end is told.
func TestAScriptIsToldOnceOfARenewalThatFailedBeforeIt(t *testing.T) {
	refused := func() error { return fault.New(fault.Refused, "renew session", "", errors.New("switched off"), "") }
	for name, tc := range map[string]struct {
		err  func() error
		ends bool // of itself
		want []string
	}{
		"permanent": {permanent, false, []string{"cannot be renewed and ends in 4m0s", "Mend the trust policy."}},
		"refused":   {refused, false, []string{"cannot be renewed and ends in 4m0s"}},
		"passing":   {passing, false, []string{"could not be renewed yet, and is good for 4m0s more"}},
		"mended":    {permanent, true, []string{"cannot be renewed", "Mend the trust policy.", "was renewed after all"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, 15*time.Minute)
				d := b.deliveryOf("endpoint", 6*time.Hour)
				b.answer = func(n int32) error {
					if tc.ends && n > 1 {
						return nil
					}
					return tc.err()
				}
				time.Sleep(11 * time.Minute)
				if err := d.ready(t.Context(), b.source, "build_script"); err != nil {
					t.Fatal(err)
				}
				b.serving(t, func() { time.Sleep(6 * time.Minute) })
				if len(b.said) != len(tc.want) {
					t.Fatalf("said %q", b.said)
				}
				for i, want := range tc.want {
					if !strings.Contains(b.said[i], want) {
						t.Errorf("said %q, want %q", b.said[i], want)
					}
				}
			})
		})
	}
}

func TestACancelEndsTheWaitForARenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, time.Hour)
		d := b.deliveryOf("env", 6*time.Hour)
		b.answer = func(int32) error { time.Sleep(time.Minute); return passing() }
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, cancel)
		time.Sleep(time.Hour - time.Second)
		if err := d.ready(ctx, b.source, "build_script"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		b.running.Wait()
	})
}
