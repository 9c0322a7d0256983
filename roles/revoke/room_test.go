package revoke

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"envrole/roles/fault"
	"envrole/roles/lease"
)

func (b *bench) lendMany(n int, d func(i int) time.Duration) (ids []string, leases []lease.Lease) {
	for i := range n {
		le := b.fresh(roleA, d(i))
		b.n++
		le.SessionName = fmt.Sprintf("gl-%d-%s", 1234567890+int64(i), le.ID[:13])
		b.create(le)
		ids, leases = append(ids, le.ID), append(leases, le)
	}
	return ids, leases
}

func TestOverflowKeepsTheLatestAndIsSaidAndSettled(t *testing.T) {
	b := newBench(t)
	defer b.check()
	ids, leases := b.lendMany(400, func(i int) time.Duration {
		if i%2 == 0 {
			return 30 * time.Minute
		}
		return 2 * time.Hour
	})
	rep, err := b.r.Revoke(b.ctx(), ids...)
	denied := rep.Count(Denied)
	if denied < 290 || denied+rep.Count(Unrevoked) != 400 || rep.Puts > 4 {
		t.Errorf("%d denied, %d unrevoked, %d puts", denied, rep.Count(Unrevoked), rep.Puts)
	}
	if fault.ClassOf(err) != fault.Passing || !strings.Contains(fault.HelpOf(err), "300 sessions") {
		t.Errorf("%v: %s", err, fault.HelpOf(err))
	}
	t.Logf("of 400: %d denied, %d puts", denied, rep.Puts)
	for i, le := range leases {
		got := b.get(le.ID)
		if i%2 == 1 && got.State != lease.Denied {
			t.Errorf("lease %d of two hours is %s", i, got.State)
		}
		if (got.State == lease.Denied) != b.cloud.denied(roleA, le.SessionName) || got.State == lease.Unrevoked && got.LastReason != ReasonOverflow {
			t.Errorf("lease %d is %s (%s), denied at AWS: %v", i, got.State, got.LastReason, b.cloud.denied(roleA, le.SessionName))
		}
	}
	// Time makes room and settles the rest.
	for range 20 {
		b.now = b.now.Add(20 * time.Minute)
		_, _ = b.r.Sweep(b.ctx(), SweepOptions{All: true})
	}
	if all, _, err := b.l.List(b.ctx()); err != nil || len(all) != 0 || len(b.cloud.policies[roleA]) != 0 {
		t.Errorf("left: %d leases, %d policies, %v", len(all), len(b.cloud.policies[roleA]), err)
	}
}

func TestWhatTheAdminKeepsThereIsFoundOutByIAM(t *testing.T) {
	b := newBench(t)
	defer b.check()
	b.cloud.policies[roleA] = map[string]string{"admin": strings.Repeat("x", 8000), "envrole-notes": "x"}
	ids, leases := b.lendMany(100, func(i int) time.Duration { return time.Hour + time.Duration(i)*time.Second })
	rep, err := b.r.Revoke(b.ctx(), ids...)
	if err == nil || rep.Count(Denied) < 60 || rep.Puts > 10 {
		t.Errorf("%d denied, %d puts, %v", rep.Count(Denied), rep.Puts, err)
	}
	t.Logf("%d of 100 denied with %d puts", rep.Count(Denied), rep.Puts)
	for i := range leases {
		if want := i >= 100-rep.Count(Denied); (b.get(leases[i].ID).State == lease.Denied) != want {
			t.Errorf("lease %d is %s", i, b.get(leases[i].ID).State)
		}
	}
	// The next cleanups do not try all the others again within the same minute.
	more, _ := b.lendMany(1, func(int) time.Duration { return time.Hour })
	puts := b.cloud.puts
	if _, err := b.r.Revoke(b.ctx(), more...); err == nil || b.cloud.puts-puts > 2 {
		t.Errorf("%v, %d puts", err, b.cloud.puts-puts)
	}
	// The admin makes room.
	delete(b.cloud.policies[roleA], "admin")
	if rep, err := b.r.Sweep(b.ctx(), SweepOptions{}); err != nil || rep.Count(Denied) == 0 || rep.Count(Unrevoked) != 0 {
		t.Errorf("%d denied, %v", rep.Count(Denied), err)
	}
}

func TestPastWindowsOfAnyWriterMakeRoomAndNoOtherPolicyDoes(t *testing.T) {
	b := newBench(t)
	defer b.check()
	past, recent, future := "envrole-aaaaaaaaaaaaa-2026112217", "envrole-aaaaaaaaaaaaa-2026112219", "envrole-bbbbbbbbbbbbb-2026112222"
	b.cloud.policies[roleA] = map[string]string{
		past: strings.Repeat("x", 6000), recent: strings.Repeat("x", 1000), future: strings.Repeat("x", 1000),
		"admin": strings.Repeat("x", 2000), "envrole-admin-2020010100": "x",
	}
	ids, _ := b.lendMany(20, func(int) time.Duration { return time.Hour })
	rep, err := b.r.Revoke(b.ctx(), ids...)
	if err != nil || rep.Count(Denied) != 20 || len(rep.Deleted) != 1 || rep.Deleted[0] != (Policy{roleA, past}) {
		t.Errorf("%+v, %v", rep, err)
	}
	for _, name := range []string{recent, future, "admin", "envrole-admin-2020010100"} {
		if b.cloud.policies[roleA][name] == "" {
			t.Errorf("%s was deleted", name)
		}
	}
	if b.cloud.policies[roleA][past] != "" {
		t.Errorf("%s is still there", past)
	}
}

func TestAWrittenDenyIsNeverGivenUpForALaterOne(t *testing.T) {
	b := newBench(t)
	defer b.check()
	r := b.revoker(Options{MaxChars: 800})
	first, early := b.lendMany(30, func(int) time.Duration { return 20 * time.Minute })
	if _, err := r.Revoke(b.ctx(), first...); err == nil {
		t.Fatal("everything fits into 800 characters")
	}
	second, _ := b.lendMany(30, func(int) time.Duration { return 10 * time.Hour })
	if _, err := r.Revoke(b.ctx(), second...); err == nil {
		t.Fatal("everything fits into 800 characters")
	}
	n := 0
	for _, le := range early {
		if b.get(le.ID).State == lease.Denied {
			n++
			if !b.cloud.denied(roleA, le.SessionName) {
				t.Errorf("%s lost its deny", le.ID)
			}
		}
	}
	if n == 0 {
		t.Error("nothing was denied at all")
	}
}
