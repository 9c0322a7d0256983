package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"envrole/internal/handover"
	"envrole/internal/stage"
	"envrole/internal/vend"
	"envrole/roles/fault"
	"envrole/roles/lease"
)

// bench is a source whose STS is a function.
type bench struct {
	*source
	ledger  *lease.Ledger
	id      string
	asked   atomic.Int32
	learned [][]string
	said    []string
	told    []int // of failures
	mu      sync.Mutex
	sealed  handover.Session
	answer  func(n int32) error // of the n-th renewal
}

// uptime is the wall clock as time since the boot, so that synctest's clock
// drives it.
func uptime() (time.Duration, error) { return time.Duration(time.Now().UnixNano()), nil }

func generation(n int, life time.Duration) handover.Session {
	up, _ := uptime()
	return handover.Session{
		AccessKeyID: "ASIA", SecretAccessKey: "secret-of-" + string(rune('0'+n)), SessionToken: "token-of-" + string(rune('0'+n)),
		Expiration: time.Now().Add(life), Lifetime: life, GoodUntil: up + life, Generation: n, Name: "gl-1-aaaaaaaaaaaaa", RoleARN: "arn:aws:iam::111122223333:role/r",
	}
}

func newBench(t *testing.T, life time.Duration) *bench {
	t.Helper()
	ledger, err := lease.OpenOn(t.TempDir(), lease.Host{BootID: "b", PIDNamespace: "p", Gone: func(int, uint64) bool { return false }, Uptime: uptime})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{ledger: ledger, sealed: generation(1, life), answer: func(int32) error { return nil }}
	if b.id, err = lease.NewID(); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := ledger.Create(t.Context(), lease.Lease{
		ID: b.id, State: lease.Asked, RoleARN: b.sealed.RoleARN, SessionName: b.sealed.Name, Revoke: "policy",
		AskedAt: now, ExpiresAt: now.Add(life), Deadline: now.Add(24 * time.Hour),
		Owner: lease.Owner{Writer: "w", BootID: "b", PIDNamespace: "p", PID: 4711},
	}); err != nil {
		t.Fatal(err)
	}
	b.set(t, func(le *lease.Lease) { le.State = lease.Lent })
	b.source = &source{
		ctx: t.Context(), watch: ledger.Watch(b.id), session: b.sealed, wake: make(chan struct{}, 1),
		now: func() handover.Instant { return handover.Now(uptime) },
		helper: func(_ context.Context, failures int) error {
			b.told = append(b.told, failures)
			if err := b.answer(b.asked.Add(1)); err != nil {
				return err
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			b.sealed = b.sealed.Renewed(generation(b.sealed.Generation+1, life))
			return nil
		},
		reopen: func() (handover.State, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			s := b.sealed
			return handover.State{Session: &s}, nil
		},
		learn: func(secrets ...string) error {
			if b.source.read().Generation >= b.sealed.Generation {
				t.Error("the job could have the session before the filter knew it")
			}
			b.learned = append(b.learned, secrets)
			return nil
		},
		say: func(format string, args ...any) {
			var out bytes.Buffer
			stage.Say(&out, format, args...)
			b.said = append(b.said, out.String())
		},
	}
	return b
}

func (b *bench) set(t *testing.T, f func(*lease.Lease)) {
	t.Helper()
	if _, err := b.ledger.Update(context.Background(), b.id, func(le *lease.Lease) error { f(le); return nil }); err != nil {
		t.Fatal(err)
	}
}

func passing() error {
	return fault.New(fault.Passing, "assume role", "", errors.New("STS is down"), "")
}

func permanent() error {
	return fault.New(fault.Permanent, "assume role", "", errors.New("denied"), "Mend the trust policy.")
}

// serving keeps the source fresh for as long as f runs.
func (b *bench) serving(t *testing.T, f func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { b.keepFresh(ctx) })
	f()
	cancel()
	wg.Wait()
	b.running.Wait()
}

func TestSixHoursOfQuartersNeverRunOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 15*time.Minute)
		b.serving(t, func() {
			for range 6 * 60 {
				time.Sleep(time.Minute)
				s, err := b.current(t.Context())
				if left := s.Left(b.now()); err != nil || left < 5*time.Minute-time.Second {
					t.Fatalf("%v left, %v", left, err)
				}
			}
		})
		if n := b.asked.Load(); n < 34 || n > 37 {
			t.Errorf("%d renewals in six hours", n)
		}
		if len(b.said) != 0 {
			t.Errorf("said %q", b.said)
		}
	})
}

// STS is down for longer than what is left when a renewal becomes due: the old
// session serves to its end, then the job is told, and then all is well again.
func TestALongOutageIsSaidAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 15*time.Minute)
		outage := time.Now().Add(10 * time.Minute)
		b.answer = func(int32) error {
			if time.Now().After(outage) && time.Now().Before(outage.Add(9*time.Minute)) {
				return passing()
			}
			return nil
		}
		outage = outage.Add(-time.Minute)
		b.serving(t, func() {
			var failed, served time.Duration
			for range 30 * 6 {
				time.Sleep(10 * time.Second)
				if _, err := b.current(t.Context()); err != nil {
					if errors.Is(err, vend.ErrRefused) || !strings.Contains(err.Error(), "STS is down") {
						t.Fatal(err)
					}
					failed += 10 * time.Second
				} else {
					served += 10 * time.Second
				}
			}
			if failed < 2*time.Minute || failed > 5*time.Minute {
				t.Errorf("without credentials for %s, with for %s", failed, served)
			}
		})
		if len(b.said) != 2 || !strings.Contains(b.said[0], "good for 5m0s more") || !strings.Contains(b.said[1], "after all") {
			t.Errorf("said %q", b.said)
		}
		if n := b.asked.Load(); n > 40 {
			t.Errorf("STS was asked %d times in nine minutes", n)
		}
	})
}

// The helper is told how many failed before, so that it need not write down all.
func TestTheHelperIsToldOfFailuresInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 15*time.Minute)
		b.answer = func(n int32) error {
			if n == 4 || n > 5 {
				return nil
			}
			return passing()
		}
		b.serving(t, func() { time.Sleep(29 * time.Minute) })
		if fmt.Sprint(b.told) != "[0 1 2 3 0 1]" {
			t.Errorf("told %d", b.told)
		}
	})
}

func TestOneRenewalServesAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 15*time.Minute)
		b.answer = func(int32) error { time.Sleep(time.Second); return nil }
		time.Sleep(20 * time.Minute) // nobody renewed: the machine slept
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if s, err := b.current(t.Context()); err != nil || s.Generation != 2 {
					t.Errorf("generation %d, %v", s.Generation, err)
				}
			})
		}
		wg.Wait()
		b.running.Wait()
		if b.asked.Load() != 1 {
			t.Errorf("STS was asked %d times", b.asked.Load())
		}
	})
}

// A tool that is given the last second of a session asks again at once, or takes
// it for ended: who asks then waits for the next session, but not in vain.
func TestALastSecondIsNotGivenOutWhereARenewalIsUnderWay(t *testing.T) {
	for name, tc := range map[string]struct {
		takes time.Duration // the renewal
		err   error
		want  int
	}{
		"it comes":       {time.Second, nil, 2},
		"it is late":     {time.Minute, nil, 1},
		"it fails":       {time.Second, passing(), 1},
		"it is no use":   {time.Millisecond, permanent(), 1},
		"it comes later": {1600 * time.Millisecond, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, 15*time.Minute)
				b.answer = func(int32) error { time.Sleep(tc.takes); return tc.err }
				time.Sleep(15*time.Minute - 1900*time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
				defer cancel()
				s, err := b.current(ctx)
				if err != nil || s.Generation != tc.want {
					t.Errorf("generation %d, %v", s.Generation, err)
				}
				if left := time.Until(s.ToldEnd(b.now())); left <= 0 {
					t.Errorf("told to end in %s", left)
				}
				b.running.Wait()
			})
		})
	}
}

// Where nothing can be renewed, or enough is left, nobody waits.
func TestEnoughOfASessionIsGivenOutAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 15*time.Minute)
		b.answer = func(int32) error { time.Sleep(time.Second); return nil }
		time.Sleep(15*time.Minute - 3*time.Second)
		asked := time.Now()
		if s, err := b.current(t.Context()); err != nil || s.Generation != 1 || !time.Now().Equal(asked) {
			t.Errorf("generation %d after %s, %v", s.Generation, time.Since(asked), err)
		}
		b.running.Wait()
	})
}

// A request that gives up does not end the renewal that it began.
func TestAnImpatientRequestStopsNoRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 15*time.Minute)
		b.answer = func(int32) error { time.Sleep(5 * time.Second); return nil }
		time.Sleep(20 * time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.current(ctx); err == nil {
			t.Error("an expired session was given out")
		}
		time.Sleep(5 * time.Second)
		if s, err := b.current(t.Context()); err != nil || s.Generation != 2 || b.asked.Load() != 1 {
			t.Errorf("generation %d, %v", s.Generation, err)
		}
		b.running.Wait()
	})
}

func TestNothingIsServedForALeaseThatEnds(t *testing.T) {
	for what, end := range map[string]func(*testing.T, *bench){
		"closing":           func(t *testing.T, b *bench) { b.set(t, func(le *lease.Lease) { le.State = lease.Closing }) },
		"past its deadline": func(_ *testing.T, _ *bench) { time.Sleep(25 * time.Hour) },
		"gone":              func(_ *testing.T, b *bench) { _ = os.RemoveAll(b.ledger.Dir() + "/leases") },
		"without a runner": func(t *testing.T, b *bench) {
			h := b.ledger.Host()
			h.Gone = func(pid int, _ uint64) bool { return pid == 4711 }
			ledger, err := lease.OpenOn(b.ledger.Dir(), h)
			if err != nil {
				t.Fatal(err)
			}
			b.watch = ledger.Watch(b.id)
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, 48*time.Hour)
				if _, err := b.current(t.Context()); err != nil {
					t.Fatal(err)
				}
				end(t, b)
				if _, err := b.current(t.Context()); !errors.Is(err, vend.ErrRefused) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// Too many open files, a disk that does not answer: nothing is known for now, so
// nothing is given, and a tool may ask again.
func TestALeaseThatCannotBeReadForNowIsNoRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 48*time.Hour)
		record, aside := filepath.Join(b.ledger.Dir(), "leases", b.id+".json"), filepath.Join(b.ledger.Dir(), "aside")
		for _, err := range []error{os.Rename(record, aside), os.Mkdir(record, 0o700)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.provide(t.Context()); err == nil || errors.Is(err, vend.ErrRefused) {
			t.Errorf("a directory in its place: %v", err)
		}
		for _, err := range []error{os.Remove(record), os.Rename(aside, record)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.provide(t.Context()); err != nil {
			t.Errorf("all is well again: %v", err)
		}
	})
}

// A renewal that the filter cannot learn is not given to the job.
func TestWhatTheFilterRefusesIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 15*time.Minute)
		b.learn = func(...string) error { return errors.New("too short") }
		time.Sleep(12 * time.Minute)
		if err := b.renew(t.Context()); err == nil {
			t.Error("no error")
		}
		if s := b.read(); s.Generation != 1 {
			t.Errorf("generation %d is given out", s.Generation)
		}
	})
}

func TestJobsThatFailTogetherDoNotRetryTogether(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 50 {
		d := jittered(time.Second)
		if d < 500*time.Millisecond || d > 1500*time.Millisecond {
			t.Errorf("waits %s", d)
		}
		seen[d] = true
	}
	if len(seen) < 40 {
		t.Errorf("%d different waits of 50", len(seen))
	}
}

// What a tool asked for at the very end must not start a renewal behind the back
// of the one who waits for all of them.
func TestNothingIsRenewedAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, time.Minute)
		time.Sleep(2 * time.Minute)
		b.close()
		if _, err := b.current(t.Context()); err == nil {
			t.Error("an ended session was given out")
		}
		if n := b.asked.Load(); n != 0 {
			t.Errorf("%d renewals", n)
		}
	})
}

// What a script left behind has its grace, in which the endpoint still answers: it
// gets the session that there is, and no other.
func TestWhatAScriptLeftBehindGetsNoNewSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 15*time.Minute)
		b.bar() // as the end of the script does
		time.Sleep(15*time.Minute - time.Second)
		if s, err := b.current(t.Context()); err != nil || s.Generation != 1 {
			t.Errorf("in the last second: generation %d, %v", s.Generation, err)
		}
		time.Sleep(time.Second)
		if _, err := b.current(t.Context()); !errors.Is(err, errEnded) {
			t.Errorf("after it: %v", err)
		}
		if n := b.asked.Load(); n != 0 {
			t.Errorf("%d renewals", n)
		}
		b.close()
	})
}

// Such as by a wall clock that is hours ahead on a host without another: each
// look would find a renewal due, and STS would be asked without a pause.
func TestARenewalThatBringsNothingIsNotRepeatedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 15*time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		b.answer = func(n int32) error {
			if n > 60 {
				cancel()
			}
			return nil
		}
		reopen := b.reopen
		b.reopen = func() (handover.State, error) {
			state, err := reopen()
			state.Session.GoodUntil -= 15 * time.Minute
			return state, err
		}
		b.keepFresh(ctx)
		if n := b.asked.Load(); n < 2 || n > 60 {
			t.Errorf("STS was asked %d times in twenty minutes", n)
		}
	})
}
