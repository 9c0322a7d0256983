package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"envrole/executor"
	"envrole/roles/fault"
)

var _ executor.Sweeper = Base{}

// Sweep implements executor.Sweeper: it frees the users of dead jobs, and tries
// again those that could not be cleaned. It goes by what is written down, not by
// what the configuration names today.
func (Base) Sweep(ctx context.Context, job executor.Job, alive func(leaseID string) bool, log io.Writer) error {
	b := book{usersPath(job.StateDir)}
	names, err := b.users()
	if err != nil || len(names) == 0 {
		return err
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, b.sweep(ctx, name, alive, log))
	}
	return errors.Join(errs...)
}

// sweep frees one user if its job is dead.
func (b book) sweep(ctx context.Context, user string, alive func(string) bool, log io.Writer) error {
	t, err := b.read(user)
	if err != nil || t == nil {
		return err
	}
	if _, due := t.due(alive); !due {
		return nil
	}
	lock, err := b.lock(ctx, user, unix.LOCK_EX, 0)
	if errors.Is(err, errTaken) {
		return nil // a stage is at it
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if t, err = b.read(user); err != nil || t == nil {
		return err
	}
	why, due := t.due(alive)
	if !due {
		return nil
	}
	if err := t.withinReach(); err != nil {
		return fault.New(fault.Internal, "free user", user, err,
			"The next job that needs the user frees it itself, unless it is not clean. To sweep it by hand: envrole sweep, as root, in the mount namespace of the runner (nsenter --target PID --mount); for the timer, packaging/envrole-sweep-users.conf.")
	}
	if err := b.clean(ctx, *t); err != nil {
		return fault.New(fault.Internal, "clean up after the job of user", user, err,
			"The user is given to no other job. Remove what the message names; `envrole sweep` tries again.")
	}
	fmt.Fprintf(log, "user %s is free: job %d: %s\n", user, t.JobID, why)
	return nil
}

// due says whether a sweep is to clean, and why.
func (t tenancy) due(alive func(string) bool) (why string, due bool) {
	if t.Unclean != "" {
		return "what it left could be removed after all", true
	}
	return t.over(time.Now(), alive)
}

// withinReach says whether this process can clean at all. A service with a /tmp
// of its own would clean that one, and without root's rights nothing: both would
// free a user that is not clean.
func (t tenancy) withinReach() error {
	if os.Geteuid() != 0 {
		return errors.New("only root can")
	}
	// A mount namespace of an earlier boot is none that could be entered.
	if t.Boot == bootID() && t.Mounts != namespace("mnt") {
		return errors.New("this process sees other directories than the job did (PrivateTmp=, ProtectSystem= or a container)")
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	for name, bit := range map[string]uint{"CAP_KILL": unix.CAP_KILL, "CAP_SETUID": unix.CAP_SETUID, "CAP_DAC_OVERRIDE": unix.CAP_DAC_OVERRIDE, "CAP_FOWNER": unix.CAP_FOWNER, "CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN} {
		if caps[bit/32].Effective&(1<<(bit%32)) == 0 {
			return errors.New("this process lacks " + name)
		}
	}
	return nil
}
