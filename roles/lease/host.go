package lease

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Host is what a ledger must know of the machine it is used on.
type Host struct {
	// BootID is the kernel's random id of this boot; "" if unknown.
	BootID string
	// PIDNamespace names the namespace in which process ids and start times
	// are to be read; "" if unknown.
	PIDNamespace string
	// Gone says whether the process with this pid and start time has
	// certainly ended. An error or a doubt is "no".
	Gone func(pid int, start uint64) bool
	// Open gives a pidfd of the process; nil where Gone alone is to be asked.
	Open func(pid int) (int, error)
	// Uptime is the time since boot, sleep included, and unmoved by changes
	// of the wall clock.
	Uptime func() (time.Duration, error)
}

// ThisHost describes the machine that the program runs on.
func ThisHost() Host {
	h := Host{Gone: gone, Open: openProcess, Uptime: uptime, PIDNamespace: namespace()}
	if b, err := readSmall("/proc/sys/kernel/random/boot_id", 64); err == nil {
		h.BootID = strings.TrimSpace(string(b))
	}
	return h
}

// namespace names the pid namespace, and the time namespace because start times
// are told in it. It is "" where /proc is not of this process's namespace:
// then no pid read there means anything here.
func namespace() string {
	self, err := os.Readlink("/proc/self")
	if err != nil || self != strconv.Itoa(os.Getpid()) {
		return ""
	}
	pid, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	if t, err := os.Readlink("/proc/self/ns/time"); err == nil {
		return pid + " " + t
	}
	return pid
}

func uptime() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, err
	}
	return time.Duration(ts.Nano()), nil
}
