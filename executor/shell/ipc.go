package shell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// removeIPC removes what the user has of System V shared memory, semaphores and
// message queues, and POSIX message queues. (POSIX shared memory and semaphores
// are files in /dev/shm.)
func removeIPC(ctx context.Context, uid int) error {
	var errs []error
	for _, kind := range []struct {
		file, id string
		remove   func(id uintptr) unix.Errno
	}{
		{"shm", "shmid", func(id uintptr) unix.Errno { return syscall3(unix.SYS_SHMCTL, id, unix.IPC_RMID, 0) }},
		{"sem", "semid", func(id uintptr) unix.Errno { return syscall3(unix.SYS_SEMCTL, id, 0, unix.IPC_RMID) }},
		{"msg", "msqid", func(id uintptr) unix.Errno { return syscall3(unix.SYS_MSGCTL, id, unix.IPC_RMID, 0) }},
	} {
		b, err := os.ReadFile("/proc/sysvipc/" + kind.file)
		if err != nil {
			continue // this kernel has none
		}
		for _, id := range ipcOf(string(b), kind.id, uid) {
			if errno := kind.remove(id); errno != 0 && errno != unix.EINVAL && errno != unix.EIDRM {
				errs = append(errs, fmt.Errorf("remove %s %d: %w", kind.id, id, errno))
			}
		}
	}
	return errors.Join(append(errs, removeQueues(ctx, uid))...)
}

func syscall3(trap, a, b, c uintptr) unix.Errno {
	_, _, errno := unix.Syscall(trap, a, b, c)
	return errno
}

// ipcOf reads a table of /proc/sysvipc: the ids of what the user owns or made.
func ipcOf(text, idName string, uid int) []uintptr {
	header, rows, _ := strings.Cut(text, "\n")
	names := strings.Fields(header)
	id, owner, maker := slices.Index(names, idName), slices.Index(names, "uid"), slices.Index(names, "cuid")
	if id < 0 || owner < 0 || maker < 0 {
		return nil
	}
	var ids []uintptr
	want := strconv.Itoa(uid)
	for row := range strings.Lines(rows) {
		f := strings.Fields(row)
		if len(f) != len(names) || f[owner] != want && f[maker] != want {
			continue
		}
		if n, err := strconv.ParseUint(f[id], 10, 31); err == nil {
			ids = append(ids, uintptr(n))
		}
	}
	return ids
}

// removeQueues removes the user's POSIX message queues, through a mount of
// their file system that has no path: a host need not have one.
func removeQueues(ctx context.Context, uid int) error {
	conf, err := unix.Fsopen("mqueue", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil // none in this kernel, or out of our rights: /dev/mqueue is cleaned apart
	}
	defer func() { _ = unix.Close(conf) }()
	if err := unix.FsconfigCreate(conf); err != nil {
		return nil // likewise
	}
	fd, err := unix.Fsmount(conf, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil // likewise
	}
	mount := os.NewFile(uintptr(fd), "message queues")
	defer mount.Close()
	d, err := openBelow(fd, ".", nil)
	if err != nil {
		return err
	}
	defer d.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(d.Fd()), &st); err != nil {
		return err
	}
	return removeOwnedIn(ctx, d, st.Dev, uid, 0)
}

// clearKeyrings empties the user's own keyrings in the kernel, which outlive
// its processes. It runs when none is left: the thread that does it has the
// user's real id. Where keys are out of reach, as in most containers, they are
// for jobs too.
func clearKeyrings(uid int) error {
	return asUser(uid, uid, func() error {
		const userRing, userSessionRing = -4, -5 // KEY_SPEC_USER_KEYRING, KEY_SPEC_USER_SESSION_KEYRING
		rings := []int{userRing, userSessionRing}
		if ring, err := unix.KeyctlInt(unix.KEYCTL_GET_PERSISTENT, -1, -2, 0, 0); err == nil { // own uid, into the process keyring
			rings = append(rings, ring)
		}
		for _, ring := range rings {
			_, err := unix.KeyctlInt(unix.KEYCTL_CLEAR, ring, 0, 0, 0)
			switch {
			case err == nil, errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOKEY), errors.Is(err, unix.EOPNOTSUPP):
			default:
				return fmt.Errorf("clear keyring %d of uid %d: %w", ring, uid, err)
			}
		}
		return nil
	})
}
