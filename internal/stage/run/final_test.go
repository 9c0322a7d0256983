package run

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"envrole/internal/vend"
	"envrole/roles/fault"
)

// AWS says no: that is said once, and asked once more shortly before the end.
func TestAFinalAnswerIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 15*time.Minute)
		var at []time.Duration
		began := time.Now()
		b.answer = func(int32) error { at = append(at, time.Since(began).Round(time.Second)); return permanent() }
		b.serving(t, func() {
			time.Sleep(14*time.Minute + 30*time.Second)
			if _, err := b.current(t.Context()); err != nil {
				t.Errorf("the session is good for half a minute: %v", err)
			}
			time.Sleep(2 * time.Minute)
			if _, err := b.current(t.Context()); !errors.Is(err, vend.ErrRefused) {
				t.Errorf("the session has ended: %v", err)
			}
		})
		if len(b.said) != 2 || !strings.Contains(b.said[0], "cannot be renewed and ends in 5m0s") || !strings.Contains(b.said[1], "Mend the trust policy.") {
			t.Errorf("said %q", b.said)
		}
		if len(at) != 2 || at[0] != 10*time.Minute || at[1] < 13*time.Minute || at[1] > 14*time.Minute {
			t.Errorf("asked at %s", at)
		}
	})
}

// A role's trust policy is being written anew: for a moment nobody may assume it.
func TestAFinalAnswerThatDoesNotLastIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 15*time.Minute)
		b.answer = func(n int32) error {
			if n == 1 || n == 3 { // each session has its second chance
				return permanent()
			}
			return nil
		}
		b.serving(t, func() {
			for range 40 {
				time.Sleep(time.Minute)
				if _, err := b.current(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
		if len(b.said) != 6 || !strings.Contains(b.said[2], "was renewed after all") || !strings.Contains(b.said[5], "was renewed after all") {
			t.Errorf("said %q", b.said)
		}
	})
}

// The administrator's no, or a lease that ends, will be no other a moment later;
// and a session of seconds has no later.
func TestWhatCannotChangeIsNotAskedAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		life  time.Duration
		class fault.Class
	}{
		"refused": {15 * time.Minute, fault.Refused},
		"short":   {10 * time.Second, fault.Permanent},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, tc.life)
				b.answer = func(int32) error { return fault.New(tc.class, "renew session", "", errors.New("no"), "") }
				b.serving(t, func() {
					time.Sleep(tc.life + time.Minute)
					if _, err := b.current(t.Context()); !errors.Is(err, vend.ErrRefused) {
						t.Errorf("the session has ended: %v", err)
					}
				})
				if b.asked.Load() != 1 || len(b.said) != 1 {
					t.Errorf("asked %d times, said %q", b.asked.Load(), b.said)
				}
			})
		})
	}
}
