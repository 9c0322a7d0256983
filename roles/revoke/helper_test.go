package revoke

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"envrole/roles"
	"envrole/roles/lease"
)

const (
	roleA = "arn:aws:iam::111122223333:role/deploy"
	roleB = "arn:aws:iam::444455556666:role/path/deploy"
)

// bench is a ledger, a model of AWS and a clock that only the test moves.
type bench struct {
	t     *testing.T
	now   time.Time     // AWS's clock, the true one
	skew  time.Duration // of the host's clock
	halt  time.Duration // by which the time since boot lags
	boot  time.Time
	gone  map[int]bool
	cloud *cloud
	l     *lease.Ledger
	r     *Revoker
	n     int64
}

// memory is a directory whose fsync costs nothing, where there is one: what is
// tested here is the order of things, not the disk.
func memory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "envrole-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

const bootID = "0a0a0a0a-0000-4000-8000-000000000001"

func newBench(t *testing.T) *bench {
	b := &bench{t: t, now: time.Date(2026, 11, 22, 20, 10, 0, 0, time.UTC), gone: map[int]bool{}}
	b.boot = b.now.Add(-time.Hour)
	b.cloud = newCloud(func() time.Time { return b.now })
	b.open(memory(t)+"/state", bootID)
	return b
}

func (b *bench) open(dir, boot string) {
	b.t.Helper()
	var err error
	b.l, err = lease.OpenOn(dir, lease.Host{
		BootID: boot, PIDNamespace: "pid:[1]",
		Gone:   func(pid int, _ uint64) bool { return b.gone[pid] },
		Uptime: func() (time.Duration, error) { return b.now.Sub(b.boot) - b.halt, nil },
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.r = b.revoker(Options{})
}

func (b *bench) local() time.Time { return b.now.Add(b.skew) }

func (b *bench) revoker(o Options) *Revoker {
	o.Now = b.local
	return New(b.l, b.cloud.connect, o)
}

// fresh is a lease of a new job, on its way to AWS.
func (b *bench) fresh(role string, d time.Duration) lease.Lease {
	id, err := lease.NewID()
	if err != nil {
		b.t.Fatal(err)
	}
	b.n++
	return lease.Lease{
		ID: id, State: lease.Asked, JobID: b.n, RoleARN: role, SessionName: fmt.Sprintf("gl-%d-%s", b.n, id[:13]),
		Revoke: roles.RevokePolicy, AskedAt: b.local(), ExpiresAt: b.local().Add(d + time.Minute), Deadline: b.local().Add(4 * time.Hour),
		Owner: lease.Owner{BootID: b.l.Host().BootID, PIDNamespace: b.l.Host().PIDNamespace, PID: int(b.n) + 100, StartTime: 1},
	}
}

func (b *bench) create(le lease.Lease) lease.Lease {
	b.t.Helper()
	if err := b.l.Create(b.ctx(), le); err != nil {
		b.t.Fatal(err)
	}
	return le
}

// lend makes a lease whose session lives.
func (b *bench) lend(role string, d time.Duration) lease.Lease {
	b.t.Helper()
	le := b.create(b.fresh(role, d))
	return b.update(le.ID, func(le *lease.Lease) { le.State, le.AccessKeyID = lease.Lent, "ASIAEXAMPLE" })
}

func (b *bench) update(id string, f func(*lease.Lease)) lease.Lease {
	b.t.Helper()
	le, err := b.l.Update(b.ctx(), id, func(le *lease.Lease) error { f(le); return nil })
	if err != nil {
		b.t.Fatal(err)
	}
	return le
}

func (b *bench) ctx() context.Context { return b.t.Context() }

func (b *bench) get(id string) lease.Lease {
	b.t.Helper()
	le, err := b.l.Get(id)
	if err != nil {
		b.t.Fatal(err)
	}
	return le
}

// check is what must hold at the end of every test.
func (b *bench) check() {
	b.t.Helper()
	for _, w := range b.cloud.wrong {
		b.t.Error(w)
	}
}
