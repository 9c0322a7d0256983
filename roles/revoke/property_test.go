package revoke

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"envrole/roles/lease"
)

// job is what the world knows of a session, whatever the ledger says.
type job struct {
	role, name, id string
	owner          int
	boot           string
	issued         bool
	expires        time.Time // true
	last           time.Time // the latest expiry the ledger ever recorded
	ended          bool      // the runner is gone or cleanup was called
	late           bool      // was past its deadline when a sweep looked
	denied         bool      // the ledger said so once
}

type world struct {
	*bench
	t     *rapid.T
	jobs  []*job
	boots int
	mode  string
	after int // calls until mode strikes
}

// crashing runs f like a process that may die in a call of IAM.
func (w *world) crashing(f func() error) (died bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(crash); !ok {
				panic(p)
			}
			died = true
		}
	}()
	return false, f()
}

func (w *world) fail(_, _ string) (before, after error) {
	if w.after > 0 {
		w.after--
		return nil, nil
	}
	switch w.mode {
	case "denied":
		return errDenied, nil
	case "timeout":
		return errTimeout, nil
	case "answer lost":
		return nil, errTimeout
	case "killed before":
		w.mode = ""
		return errCrash, nil
	case "killed after":
		w.mode = ""
		return nil, errCrash
	}
	return nil, nil
}

func (w *world) pick() *job {
	if len(w.jobs) == 0 {
		w.t.Skip("no job")
	}
	return w.jobs[rapid.IntRange(0, len(w.jobs)-1).Draw(w.t, "job")]
}

func (w *world) start(t *rapid.T) {
	role := rapid.SampledFrom([]string{roleA, roleB}).Draw(t, "role")
	d := rapid.SampledFrom([]time.Duration{15 * time.Minute, time.Hour, 3 * time.Hour}).Draw(t, "duration")
	le := w.create(w.fresh(role, d))
	j := &job{role: role, name: le.SessionName, id: le.ID, owner: le.Owner.PID, boot: le.Owner.BootID, last: le.ExpiresAt}
	w.jobs = append(w.jobs, j)
	how := rapid.SampledFrom([]string{"lent", "lent", "answer lost", "never issued"}).Draw(t, "STS")
	if how == "never issued" {
		return
	}
	j.issued, j.expires = true, w.now.Add(d)
	if how == "answer lost" {
		return
	}
	now := w.update(le.ID, func(le *lease.Lease) {
		le.State = lease.Lent
		if j.expires.After(le.ExpiresAt) {
			le.ExpiresAt = j.expires
		}
	})
	j.last = now.ExpiresAt
}

func (w *world) refresh(t *rapid.T) {
	j := w.pick()
	d := time.Hour
	le, err := w.l.Update(w.ctx(), j.id, func(le *lease.Lease) error {
		if le.State != lease.Lent {
			return lease.ErrTransition
		}
		if at := w.local().Add(d + time.Minute); at.After(le.ExpiresAt) {
			le.ExpiresAt = at
		}
		return nil
	})
	if err != nil {
		return
	}
	j.last = le.ExpiresAt
	j.expires = w.now.Add(d) // the same name: the same aws:userid
	if rapid.Bool().Draw(t, "answer seen") {
		le = w.update(j.id, func(le *lease.Lease) {
			if j.expires.After(le.ExpiresAt) {
				le.ExpiresAt = j.expires
			}
		})
		j.last = le.ExpiresAt
	}
}

func (w *world) cleanup(*rapid.T) {
	j := w.pick()
	j.ended = true
	died, err := w.crashing(func() error { _, err := w.r.Revoke(w.ctx(), j.id); return err })
	if died {
		w.r = w.revoker(Options{MaxChars: w.r.maxChars})
		return
	}
	le, getErr := w.l.Get(j.id)
	if getErr != nil {
		return // expired
	}
	if err == nil && le.State != lease.Denied {
		w.t.Fatalf("revoke had no error, and the lease is %s", le.State)
	}
	if err != nil && le.State != lease.Unrevoked {
		w.t.Fatalf("revoke = %v, and the lease is %s", err, le.State)
	}
}

func (w *world) sweep(t *rapid.T) {
	limit := rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "limit")
	for _, j := range w.jobs {
		if le, err := w.l.Get(j.id); err == nil && w.local().After(le.Deadline) {
			j.late = true
		}
	}
	var rep Report
	died, err := w.crashing(func() (err error) {
		rep, err = w.r.Sweep(w.ctx(), SweepOptions{Limit: limit, All: rapid.Bool().Draw(t, "all")})
		return err
	})
	if died {
		w.r = w.revoker(Options{MaxChars: w.r.maxChars})
		return
	}
	if limit > 0 {
		return
	}
	for _, j := range w.jobs {
		gone := j.late || j.ended && j.boot == w.l.Host().BootID
		if !j.issued || !gone || !w.now.Before(j.expires) {
			continue
		}
		le, getErr := w.l.Get(j.id)
		denied := w.cloud.denied(j.role, j.name)
		switch {
		case denied:
		case err == nil:
			t.Fatalf("session %s lives after a successful sweep; lease %s %v; %+v", j.name, le.State, getErr, rep)
		case getErr != nil || le.State != lease.Unrevoked:
			t.Fatalf("session %s lives after a sweep with %v and is not visible: %s %v", j.name, err, le.State, getErr)
		}
	}
}

func (w *world) reboot(*rapid.T) {
	w.boots++
	w.boot, w.halt = w.now, 0
	w.open(w.l.Dir(), fmt.Sprintf("0a0a0a0a-0000-4000-8000-%012d", w.boots+1))
}

func (w *world) invariants(t *rapid.T) {
	for _, wrong := range w.cloud.wrong {
		t.Fatal(wrong)
	}
	for _, j := range w.jobs {
		le, err := w.l.Get(j.id)
		denied := w.cloud.denied(j.role, j.name)
		if err == nil && le.State == lease.Denied {
			j.denied = true
		}
		switch {
		case denied && !j.ended && !j.late:
			t.Fatalf("living session %s is denied", j.name)
		case j.denied && !denied && j.issued && w.now.Before(j.last.Add(Margin)):
			t.Fatalf("the deny of %s disappeared %v before its time", j.name, j.last.Add(Margin).Sub(w.now))
		case err != nil && !denied && j.issued && w.now.Before(j.expires):
			t.Fatalf("living session %s is forgotten: %v", j.name, err)
		}
	}
}

// What may happen to jobs, hosts, clocks and IAM, in any order: no living job
// loses its session, no dead one's is forgotten, no deny disappears early.
func TestWhateverHappensEverySessionIsDeniedOrVisible(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{bench: newBench(t), t: rt}
		w.cloud.fail = w.fail
		if rapid.Bool().Draw(rt, "small role") {
			w.cloud.limit = 450
			if rapid.Bool().Draw(rt, "known to be small") {
				w.r = w.revoker(Options{MaxChars: 400})
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"start":   w.start,
			"start2":  w.start,
			"refresh": w.refresh,
			"cleanup": w.cleanup,
			"sweep":   w.sweep,
			"sweep2":  w.sweep,
			"reboot":  w.reboot,
			"runner dies": func(*rapid.T) {
				j := w.pick()
				w.gone[j.owner] = true
				j.ended = true
			},
			"time passes": func(t *rapid.T) {
				d := time.Duration(rapid.IntRange(1, 50).Draw(t, "minutes")) * time.Minute
				w.now = w.now.Add(d)
				if rapid.IntRange(0, 9).Draw(t, "machine halted") == 0 {
					w.halt += d
				}
			},
			"clock jumps": func(t *rapid.T) {
				w.skew = time.Duration(rapid.IntRange(-600, 600).Draw(t, "seconds")) * time.Second
			},
			"IAM": func(t *rapid.T) {
				w.mode = rapid.SampledFrom([]string{"", "", "denied", "timeout", "answer lost", "killed before", "killed after"}).Draw(t, "mode")
				w.after = rapid.IntRange(0, 3).Draw(t, "after")
			},
			"": w.invariants,
		})
		// At last everything ends, and nothing is left.
		w.mode = ""
		for range 30 {
			w.now = w.now.Add(time.Hour)
			w.sweep(rt)
			w.invariants(rt)
		}
		all := SweepOptions{All: true}
		if _, err := w.r.Sweep(w.ctx(), all); err != nil {
			rt.Fatal(err)
		}
		left, damaged, err := w.l.List(w.ctx())
		if err != nil || len(left)+len(damaged) != 0 || len(w.cloud.policies[roleA])+len(w.cloud.policies[roleB]) != 0 {
			rt.Fatalf("left: %+v, %+v, %v, %v", left, damaged, err, w.cloud.policies)
		}
	})
}
