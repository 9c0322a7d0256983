package lease

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"envrole/roles/fault"
)

const recordSuffix = ".json"

func (l *Ledger) record(id string) string { return l.path(leasesDir, id+recordSuffix) }
func (l *Ledger) lockOf(id string) string { return l.path(locksDir, id+".lock") }

func badID(op string) error {
	// The text is not repeated: it may be anything.
	return fault.New(fault.Internal, op, "", errors.New("not a lease id"), "")
}

// Create writes a new lease. When it returns nil the record has reached the
// disk; when it fails, STS must not be asked. The lease must be in state Asked,
// with role, session name, expiry and deadline. Version is set, and the owner's
// writer if it is empty.
func (l *Ledger) Create(ctx context.Context, le Lease) error {
	const op = "create lease"
	if !ValidID(le.ID) {
		return badID(op)
	}
	if le.State != Asked || le.RoleARN == "" || le.SessionName == "" || le.AskedAt.IsZero() ||
		!le.ExpiresAt.After(le.AskedAt) || le.Deadline.IsZero() {
		return fault.New(fault.Internal, op, le.ID,
			errors.New("a new lease is asked and has a role, a session name, an expiry and a deadline"), "")
	}
	le.Version = Version
	if le.Owner.Writer == "" {
		w, err := l.Writer() //nolint:contextcheck // a name that is there is read at once; making one is bounded by itself
		if err != nil {
			return err
		}
		le.Owner.Writer = w
	}
	b, err := encode(le)
	if err != nil {
		return fault.New(fault.Internal, op, le.ID, err, "")
	}
	return l.locked(ctx, op, le.ID, func() error {
		if _, err := os.Lstat(l.record(le.ID)); err == nil {
			return ErrExists
		} else if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return writeAtomic(l.record(le.ID), b, durable)
	})
}

// Update changes a lease under its own lock: f gets the record as it is now and
// changes it, or gives an error and nothing happens. A change that would turn
// the lease's life back is refused with ErrTransition. It gives the record as
// it then is on disk; on an error, the record as far as it was read.
//
// Refresh calls it twice: once to raise ExpiresAt before STS is asked (and to
// give up if the lease is not Lent any more), once after the answer, to see
// whether the lease is still Lent: only then may the new credentials be used.
func (l *Ledger) Update(ctx context.Context, id string, f func(*Lease) error) (Lease, error) {
	const op = "update lease"
	if !ValidID(id) {
		return Lease{}, badID(op)
	}
	var now Lease
	if _, err := l.read(id); err != nil { // leaves no lock file behind for an unknown id
		return now, ioFault(op, id, err)
	}
	err := l.locked(ctx, op, id, func() error {
		was, err := l.read(id)
		if err != nil {
			return err
		}
		now = was
		next := was
		if err := f(&next); err != nil {
			return err
		}
		if err := checkChange(was, next); err != nil {
			return err
		}
		before, err := encode(was)
		if err != nil {
			return err
		}
		after, err := encode(next)
		if err != nil || bytes.Equal(before, after) {
			return err
		}
		if err := writeAtomic(l.record(id), after, needs(next)); err != nil {
			return err
		}
		now = next
		return nil
	})
	return now, err
}

// needs says how durable a change must be. That a deny was written, or could not
// be, may be forgotten in a power cut: the lease is then still closing, and a
// sweep does the same again. An expiry or a begun closing may not.
func needs(next Lease) durability {
	if next.State == Denied || next.State == Unrevoked {
		return whole
	}
	return durable
}

// Expire removes a lease after judge, which sees the record under the lease's
// lock, had no objection, and gives the last record for the audit. The sealed
// blob goes with it. It is for leases past their expiry, and for an Asked one
// whose session STS refused for certain.
func (l *Ledger) Expire(ctx context.Context, id string, judge func(Lease) error) (Lease, error) {
	const op = "expire lease"
	if !ValidID(id) {
		return Lease{}, badID(op)
	}
	var last Lease
	if _, err := l.read(id); err != nil {
		return last, ioFault(op, id, err)
	}
	err := l.locked(ctx, op, id, func() error {
		le, err := l.read(id)
		if err != nil {
			return err
		}
		last = le
		if err := judge(le); err != nil {
			return err
		}
		if err := l.RemoveSealed(id); err != nil {
			return err
		}
		if err := os.Remove(l.record(id)); err != nil {
			return err
		}
		// The lock goes last, while it is held: whoever waits for it looks
		// the name up again.
		_ = os.Remove(l.holdOf(id))
		_ = os.Remove(l.lockOf(id))
		return syncDir(l.path(leasesDir, ""))
	})
	return last, err
}

// locked runs f under the lease's lock, waiting for it until ctx ends.
func (l *Ledger) locked(ctx context.Context, op, id string, f func() error) error {
	file, err := lock(ctx, l.lockOf(id), unix.LOCK_EX)
	if err != nil {
		return ioFault(op, id, err)
	}
	defer func() { _ = file.Close() }()
	return ioFault(op, id, f())
}

// Get reads one lease: ErrNotFound, ErrNewer or ErrDamaged where it cannot.
func (l *Ledger) Get(id string) (Lease, error) {
	if !ValidID(id) {
		return Lease{}, badID("read lease")
	}
	le, err := l.read(id)
	return le, ioFault("read lease", id, err)
}

func (l *Ledger) read(id string) (Lease, error) {
	b, err := readSmall(l.record(id), maxRecord)
	if errors.Is(err, os.ErrNotExist) {
		return Lease{}, fmt.Errorf("lease %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return Lease{}, err
	}
	return decode(id, b)
}

// List reads all leases, oldest first. A file that is no readable lease does
// not hide the others: it comes back as Damaged, and stays.
func (l *Ledger) List(ctx context.Context) ([]Lease, []Damaged, error) {
	entries, err := os.ReadDir(l.path(leasesDir, ""))
	if err != nil {
		return nil, nil, ioFault("list leases", l.dir, err)
	}
	var leases []Lease
	var damaged []Damaged
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return leases, damaged, fmt.Errorf("list leases: %w", err)
		}
		if isTemp(e.Name()) {
			continue
		}
		id, ok := strings.CutSuffix(e.Name(), recordSuffix)
		if !ok || !ValidID(id) {
			damaged = append(damaged, Damaged{File: l.path(leasesDir, e.Name()), Err: errors.New("not a lease's file name")})
			continue
		}
		le, err := l.read(id)
		switch {
		case err == nil:
			leases = append(leases, le)
		case errors.Is(err, ErrNotFound): // expired since the directory was read
		default:
			damaged = append(damaged, Damaged{ID: id, File: l.record(id), Newer: errors.Is(err, ErrNewer), Err: err})
		}
	}
	slices.SortFunc(leases, func(a, b Lease) int {
		if c := a.AskedAt.Compare(b.AskedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return leases, damaged, nil
}
