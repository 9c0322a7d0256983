package lease

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// The lock of a role is a file named by the hash of its ARN. Beside it lies a
// file with the ARN itself: the roles that this ledger ever wrote to, so that a
// sweep finds policies whose leases are long forgotten.

func (l *Ledger) roleFile(arn, suffix string) string {
	sum := sha256.Sum256([]byte(arn))
	return l.path(rolesDir, hex.EncodeToString(sum[:16])+suffix)
}

// TryLockRole takes the role's lock if it is free; ok says so. Who has it is
// the only one on this state directory that writes the role's policies.
func (l *Ledger) TryLockRole(arn string) (release func(), ok bool, err error) {
	f, err := tryLock(l.roleFile(arn, ".lock"), unix.LOCK_EX)
	if errors.Is(err, errBusy) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, ioFault("lock role", arn, err)
	}
	return sync.OnceFunc(func() { _ = f.Close() }), true, nil
}

// RememberRole records that policies are written to the role.
func (l *Ledger) RememberRole(arn string) error {
	path := l.roleFile(arn, ".arn")
	if b, err := readSmall(path, maxRecord); err == nil && string(b) == arn {
		return nil
	}
	return ioFault("remember role", arn, writeAtomic(path, []byte(arn), durable))
}

// ForgetRole undoes RememberRole; the caller holds the role's lock.
func (l *Ledger) ForgetRole(arn string) error {
	err := os.Remove(l.roleFile(arn, ".arn"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return ioFault("forget role", arn, err)
}

// Roles lists the remembered roles. A file whose content does not fit its name
// is left out.
func (l *Ledger) Roles() ([]string, error) {
	entries, err := os.ReadDir(l.path(rolesDir, ""))
	if err != nil {
		return nil, ioFault("list roles", l.dir, err)
	}
	var arns []string
	for _, e := range entries {
		path := l.path(rolesDir, e.Name())
		b, err := readSmall(path, maxRecord)
		if err == nil && l.roleFile(string(b), ".arn") == path {
			arns = append(arns, string(b))
		}
	}
	return arns, nil
}
