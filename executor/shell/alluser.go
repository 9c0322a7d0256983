package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// noAccount is a user id that no account has: systemd's ranges and those of
// containers end below it.
const noAccount = math.MaxInt32 - 7

// asUser calls f on a thread of its own that has these real and effective user
// ids, and root's as the saved one. The thread ends with the call.
func asUser(realUID, effective int, f func() error) error {
	done := make(chan error, 1)
	go onOwnThread(func() {
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(kernelID(realUID)), uintptr(kernelID(effective)), 0); errno != 0 {
			done <- fmt.Errorf("become uid %d: %w", effective, errno)
			return
		}
		done <- f()
	})
	return <-done
}

// onOwnThread calls f on a thread that ends with it. It is never the first one:
// that cannot end, and its ids are what the process table shows of a process.
func onOwnThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f() // never unlocked
		return
	}
	defer runtime.UnlockOSThread()
	end := make(chan struct{})
	go func() { defer close(end); onOwnThread(f) }() // elsewhere, since this thread is held
	<-end
}

// killAllOf sends SIGKILL to every process of the user at once. The kernel does
// it in one pass during which nothing is forked, so a fork bomb cannot outrun
// it. The sender has the user's effective id only: a job may not signal it.
func killAllOf(uid int) error {
	if uid <= 0 {
		return fmt.Errorf("kill everything of uid %d", uid)
	}
	return asUser(noAccount, uid, func() error {
		if err := unix.Kill(-1, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill everything of uid %d: %w", uid, err)
		}
		return nil
	})
}

// endAllOf ends every process of the user, whoever started it and whatever it
// does about that, and returns when none is left. Nothing is asked politely:
// the job is over.
func endAllOf(ctx context.Context, uid int) error {
	bound, cancel := context.WithTimeout(ctx, killBound)
	defer cancel()
	quiet := 0
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		killErr := killAllOf(uid)
		left, err := processesOf(uid)
		if err != nil {
			return err
		}
		if len(left) == 0 {
			// After the kernel's pass nothing is forked any more, so one look at
			// the table is enough; without it, it takes two.
			if quiet++; killErr == nil || quiet > 1 {
				return nil
			}
			continue
		}
		quiet = 0
		for _, p := range left { // also where the kernel did not let us be that user
			p.signal(unix.SIGKILL)
		}
		select {
		case <-bound.Done():
			return errors.Join(fmt.Errorf("%d processes of uid %d do not end, %d among them", len(left), uid, left[0].pid), killErr)
		case <-time.After(pause):
		}
	}
}

// processesOf lists the living processes that have the user among their ids.
func processesOf(uid int) ([]process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("read process table: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("read process table: %w", err)
	}
	want := []byte(strconv.Itoa(uid))
	var found []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		b, err := readProc(pid, "status")
		if err != nil || pid == os.Getpid() || !hasID(b, want) {
			continue
		}
		if p, ok := readProcess(pid); ok && !p.zombie() {
			found = append(found, p)
		}
	}
	return found, nil
}

// hasID looks for a user among the real, effective, saved and file system id of
// /proc/PID/status.
func hasID(status, uid []byte) bool {
	_, rest, ok := bytes.Cut(status, []byte("\nUid:\t"))
	if !ok {
		return false
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	for id := range bytes.FieldsSeq(line) {
		if bytes.Equal(id, uid) {
			return true
		}
	}
	return false
}
