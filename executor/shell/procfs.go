package shell

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process is one line of the process table.
type process struct {
	pid, ppid int
	state     byte
	threads   int
	group     int // process group
	session   int
	start     uint64 // clock ticks since boot: with pid it names one process for ever
}

// zombie says that the process has ended and waits for its parent only. The
// state is that of its first thread: when that one alone has ended, the others
// go on.
func (p process) zombie() bool { return (p.state == 'Z' || p.state == 'X') && p.threads <= 1 }

// processes reads the process table. A process that ends meanwhile is left out.
func processes() (map[int]process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("read process table: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("read process table: %w", err)
	}
	table := make(map[int]process, len(names))
	buf := make([]byte, 2048)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, ok := readProcessInto(buf, pid); ok {
			table[pid] = p
		}
	}
	return table, nil
}

// readProc reads a file of /proc/PID. os.ReadFile would do, at three times the
// system calls: it offers every file to the poller, and asks for its size and
// its end. Where a host has a thousand processes that is most of a cleanup.
func readProc(pid int, name string) ([]byte, error) {
	return readProcInto(make([]byte, 2048), pid, name)
}

// readProcInto reads the file into buf, or into a longer one if it must.
func readProcInto(buf []byte, pid int, name string) ([]byte, error) {
	fd, err := ignoringEINTR(func() (int, error) {
		return unix.Open("/proc/"+strconv.Itoa(pid)+"/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	b := buf[:0]
	for {
		n, err := ignoringEINTR(func() (int, error) { return unix.Read(fd, b[len(b):cap(b)]) })
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return b, nil
		}
		b = slices.Grow(b[:len(b)+n], 1024)
	}
}

func ignoringEINTR(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// readProcess reads /proc/PID/stat.
func readProcess(pid int) (process, bool) { return readProcessInto(make([]byte, 2048), pid) }

func readProcessInto(buf []byte, pid int) (process, bool) {
	b, err := readProcInto(buf, pid, "stat")
	if err != nil {
		return process{}, false
	}
	return parseStat(pid, b)
}

// parseStat reads the text of /proc/PID/stat. The command's name in it is the
// process's own choice and may hold spaces and parentheses: the last one ends it.
func parseStat(pid int, b []byte) (process, bool) {
	const ppid, group, session, threads, start = 1, 2, 3, 17, 19 // fields 4 to 6, 20 and 22 of proc_pid_stat(5), state is 0
	p := process{pid: pid}
	at := 0
	var err error
	for f := range bytes.FieldsSeq(b[bytes.LastIndexByte(b, ')')+1:]) {
		switch at {
		case 0:
			p.state = f[0]
		case ppid:
			p.ppid, err = strconv.Atoi(string(f))
		case group:
			p.group, err = strconv.Atoi(string(f))
		case session:
			p.session, err = strconv.Atoi(string(f))
		case threads:
			p.threads, err = strconv.Atoi(string(f))
		case start:
			p.start, err = strconv.ParseUint(string(f), 10, 64)
			return p, err == nil
		}
		if err != nil {
			return process{}, false
		}
		at++
	}
	return process{}, false
}

// childrenOf are the children of a process's first thread, of our own process
// its orphans too; nil where the kernel does not tell. It is far quicker than
// the whole table.
func childrenOf(pid int) []int {
	b, err := readProc(pid, "task/"+strconv.Itoa(pid)+"/children")
	if err != nil {
		return nil
	}
	var pids []int
	for field := range strings.FieldsSeq(string(b)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// userOf is the real user of a process.
func userOf(pid int) (uid int, ok bool) {
	b, err := readProc(pid, "status")
	if err != nil {
		return 0, false
	}
	_, rest, ok := strings.Cut(string(b), "\nUid:\t")
	if !ok {
		return 0, false
	}
	real, _, _ := strings.Cut(rest, "\t")
	uid, err = strconv.Atoi(real)
	return uid, err == nil
}

// marked says whether a process was started with the variable kv.
func marked(p process, kv string) bool {
	b, err := readProc(p.pid, "environ")
	if p.state == 'Z' { // its first thread has none any more, the others have
		b, err = environOfThreads(p.pid)
	}
	return err == nil && bytes.Contains(append([]byte{0}, b...), append(append([]byte{0}, kv...), 0))
}

// environOfThreads is the environment of a process whose first thread has ended.
func environOfThreads(pid int) ([]byte, error) {
	tasks, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	for _, task := range tasks {
		if b, err := readProc(pid, "task/"+task.Name()+"/environ"); err == nil && len(b) > 0 {
			return b, nil
		}
	}
	return nil, err
}

// withDescendants adds to roots everything that descends from one of them.
func withDescendants(table map[int]process, roots map[int]bool) map[int]bool {
	children := make(map[int][]int, len(table))
	for _, p := range table {
		children[p.ppid] = append(children[p.ppid], p.pid)
	}
	all := make(map[int]bool, len(roots))
	var visit func(pid int)
	visit = func(pid int) {
		if all[pid] {
			return
		}
		all[pid] = true
		for _, c := range children[pid] {
			visit(c)
		}
	}
	for pid := range roots {
		visit(pid)
	}
	return all
}

// signal sends sigs to exactly the process that was seen, not to another one
// that got its number meanwhile. A process that is gone or out of our rights is
// passed over: whoever waits for it finds out.
func (p process) signal(sigs ...unix.Signal) {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		if err == unix.ENOSYS || err == unix.EPERM { // an old kernel or a strict filter
			for _, sig := range sigs {
				_ = unix.Kill(p.pid, sig)
			}
		}
		return
	}
	defer func() { _ = unix.Close(fd) }()
	if now, ok := readProcess(p.pid); !ok || now.start != p.start {
		return
	}
	for _, sig := range sigs {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
}

// kill sends SIGKILL to the process, and to its whole group where it has left
// this process's session: a session holds only what descends from its first
// process. The kernel ends a group at once, with what it is just forking.
func (p process) kill() {
	p.signal(unix.SIGKILL)
	own, err := unix.Getsid(0)
	if err == nil && p.session != own && p.session > 1 && p.group > 1 {
		_ = unix.Kill(-p.group, unix.SIGKILL)
	}
}
