package shell

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// giveUp takes from the calling thread, and from what it starts, what a job is
// not to inherit. The thread must end with the script: nothing gives it back.
//
// Every job of another user gets a session keyring of its own: the runner's may
// hold keys. One that has its user for itself gains no rights by any program:
// another job could have kept a set-user-id file of an earlier one open, and
// with it become a user that a third one has by then. Nor does it dump core: a
// handler of the host would keep memory and environment, a session too.
func (p Plan) giveUp() error {
	if !p.SwitchUser {
		return nil
	}
	joinOwnKeyring()
	if !p.Leased {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	return noCore()
}

// noCore forbids core dumps to this process, which has none to make, and to what
// it starts. The limit is one byte, not none: only then does the kernel not call
// a handler either. One that is none already may be out of our rights to raise.
func noCore() error {
	var limit unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_CORE, &limit)
	if err == nil {
		most := min(limit.Max, 1)
		err = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: most, Max: most})
	}
	if err != nil {
		return fmt.Errorf("give up core dumps: %w", err)
	}
	return nil
}

// joinOwnKeyring gives the calling thread a new session keyring. Where keys are
// out of reach, as in most containers, they are for the job too.
func joinOwnKeyring() { _, _ = unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) }
