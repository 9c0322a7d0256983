package agent

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// KillBound is how long SIGKILL may take. What survives it is stuck in the
// kernel, or belongs to a user whom this process may not signal.
const KillBound = 10 * time.Second

// tree is every process of one script. This process is their subreaper and has
// no other children: as long as one is left, so is a child of this process.
type tree struct {
	pid    int
	main   chan struct{} // closed when the shell has ended
	all    chan struct{} // closed when no process is left
	status syscall.WaitStatus
}

// follow waits for the shell and for every orphan of it.
func follow(pid int) *tree {
	t := &tree{pid: pid, main: make(chan struct{}), all: make(chan struct{})}
	go func() {
		for {
			var status syscall.WaitStatus
			got, err := syscall.Wait4(-1, &status, 0, nil)
			switch {
			case errors.Is(err, syscall.EINTR):
			case err != nil: // ECHILD
				close(t.all)
				return
			case got == pid:
				t.status = status
				close(t.main)
			}
		}
	}()
	return t
}

// end ends the tree: SIGTERM, and SIGKILL to what is left after grace. It says
// whether nothing is left.
func (t *tree) end(grace time.Duration) bool {
	asked := request{}
	return t.until(grace, asked.send) || t.until(KillBound, killAll)
}

// until calls act with the processes of the tree again and again, until none is
// left (true), the time is over, or all that is left may not be signalled. act
// says how many may not.
func (t *tree) until(bound time.Duration, act func([]process) (denied int)) bool {
	over := time.After(bound)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		select {
		case <-t.all: // the usual case: the script left nothing behind
			return true
		default:
		}
		left := descendants(os.Getpid())
		if denied := act(left); denied > 0 && denied == len(left) {
			return false
		}
		select {
		case <-t.all:
			return true
		case <-over:
			return false
		case <-time.After(pause):
		}
	}
}

func killAll(left []process) (denied int) {
	for _, p := range left {
		if errors.Is(p.kill(), unix.EPERM) {
			denied++
		}
	}
	return denied
}

// helped waits until nothing is left, for somebody else ends it.
func (t *tree) helped(bound time.Duration) bool {
	select {
	case <-t.all:
		return true
	case <-time.After(bound):
		return false
	}
}

// endBelow ends all that descends from the process with the given pid, as a
// user who may: the agent of a script may not signal what became root by sudo.
func endBelow(args []string) error {
	if len(args) != 1 {
		return errors.New("end: want one pid")
	}
	root, err := strconv.Atoi(args[0])
	if err != nil || root < 1 {
		return errors.New("end: want one pid")
	}
	for deadline := time.Now().Add(KillBound); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		left := descendants(root)
		if len(left) == 0 {
			return nil
		}
		for _, p := range left {
			_ = p.kill()
		}
	}
	return errors.New("end: processes are left that cannot be killed")
}

// process is one line of the process table.
type process struct {
	pid, ppid, group, session int
	state                     byte
	threads                   int
	start                     uint64 // with pid it names one process for ever
}

// descendants are the living processes that descend from root, parents first.
func descendants(root int) []process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	names, _ := dir.Readdirnames(-1)
	_ = dir.Close()
	children := map[int][]process{}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if p, ok := readProcess(pid); ok {
				children[p.ppid] = append(children[p.ppid], p)
			}
		}
	}
	var found []process
	seen := map[int]bool{root: true}
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		for _, p := range children[queue[0]] {
			if seen[p.pid] {
				continue
			}
			seen[p.pid] = true
			queue = append(queue, p.pid)
			// A zombie has ended, unless only its first thread has.
			if p.threads > 1 || p.state != 'Z' && p.state != 'X' {
				found = append(found, p)
			}
		}
	}
	return found
}

// readProcess reads /proc/PID/stat. The name in it is the process's own choice
// and may hold spaces and parentheses: the last one ends it.
func readProcess(pid int) (process, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 20 {
		return process{}, false
	}
	p := process{pid: pid, state: f[0][0]}
	for i, into := range []*int{&p.ppid, &p.group, &p.session} { // fields 4 to 6 of proc_pid_stat(5)
		if *into, err = strconv.Atoi(f[1+i]); err != nil {
			return process{}, false
		}
	}
	if p.threads, err = strconv.Atoi(f[17]); err != nil { // field 20
		return process{}, false
	}
	p.start, err = strconv.ParseUint(f[19], 10, 64) // field 22
	return p, err == nil
}

// signal sends sig to exactly the process that was seen, not to another one that
// got its number meanwhile.
func (p process) signal(sig unix.Signal) error {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // an old kernel or a strict filter
		return unix.Kill(p.pid, sig)
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if now, ok := readProcess(p.pid); !ok || now.start != p.start {
		return nil
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}

// kill sends SIGKILL to the process and to its whole group, which the kernel
// ends at once with what it is just forking. A script begins a session of its
// own, so no group of it holds anybody else.
func (p process) kill() error {
	err := p.signal(unix.SIGKILL)
	if own, e := unix.Getsid(0); e == nil && p.session != own && p.session > 1 && p.group > 1 {
		_ = unix.Kill(-p.group, unix.SIGKILL)
	}
	return err
}
