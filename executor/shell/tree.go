package shell

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// killBound is how long SIGKILL may take. Only a process stuck in the kernel
// (a dead network file system) survives it.
const killBound = 10 * time.Second

// tree is every process that comes from one script: the shell, its descendants,
// and those whose parents ended and whom this process has adopted as the
// nearest subreaper. With a cgroup, also whatever is in that.
type tree struct {
	main   int    // pid of the shell
	reaper int    // pid of the init of the job's namespaces, if there is one: it hears no SIGTERM
	reaped bool   // the shell has ended and was waited for
	marker string // "ENVROLE_JOB=..."
	group  *cgroup
	orphan map[int]bool     // pids that were adopted alive, to be waited for
	quiet  int              // looks in a row that found nothing
	ended  map[process]bool // children that had ended at the last look
	// strays finds more roots, for cleanup; nil in a run.
	strays func(table map[int]process) map[int]bool
}

// end ends the tree: SIGTERM, and SIGKILL to what is left after grace.
// It returns when nothing is left, or an error when something cannot be killed.
// mainDone is closed when the shell has been waited for.
func (t *tree) end(grace time.Duration, mainDone <-chan struct{}) error {
	asked := request{}
	gone, err := t.until(grace, mainDone, func(table map[int]process, p process) {
		if p.pid != t.reaper && asked.due(table, p) {
			p.signal(unix.SIGTERM, unix.SIGCONT) // a stopped one could not hear the first
		}
	}, asked.nextLook)
	if gone || err != nil {
		return err
	}
	// The cgroup as a whole too, whatever the table shows of its members.
	t.group.kill()
	gone, err = t.until(killBound, mainDone, func(_ map[int]process, p process) { p.kill() }, func() {
		t.group.kill()
		t.chase()
	})
	if err == nil && !gone {
		err = errors.New("processes of the job are left that cannot be killed")
	}
	return err
}

// until calls act for each process of the tree, and then after, again and again,
// until none is left (true) or the time is over (false).
func (t *tree) until(bound time.Duration, mainDone <-chan struct{}, act func(table map[int]process, p process), after func()) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		select {
		case <-mainDone:
			t.reaped = true
		default:
		}
		gone, err := t.look(act)
		if gone || err != nil {
			return gone, err
		}
		after()
		select {
		case <-ctx.Done():
			return false, nil
		case <-time.After(pause):
		}
	}
}

// look calls act for every living process of the tree, and says whether none is
// left, the shell included until it has been waited for.
//
// The process table cannot be read in one instant: of a parent that ends and a
// child that begins meanwhile, neither may be in it alive. So an empty look
// counts only if no orphan has ended since the look before, and it takes two.
// That this process has no child at all is certain at once, because any orphan
// would be one.
func (t *tree) look(act func(map[int]process, process)) (gone bool, err error) {
	running.mu.Lock()
	defer running.mu.Unlock()
	if t.reaped && t.strays == nil && !haveChildren() && t.group.empty() {
		return true, nil // the usual case: the script left nothing behind
	}
	table, err := processes()
	if err != nil {
		return false, err
	}
	mend(table)
	ended := endedChildren(table)
	moved := !maps.Equal(ended, t.ended)
	t.ended = ended
	if t.each(table, act) > 0 || moved || !t.group.empty() {
		t.quiet = 0
		return false, nil
	}
	t.quiet++
	return t.quiet > 1, nil
}

// each calls act for the tree's living processes in table and counts them.
func (t *tree) each(table map[int]process, act func(map[int]process, process)) int {
	self := os.Getpid()
	count := 0
	for pid := range withDescendants(table, t.roots(table, self)) {
		p, ok := table[pid]
		switch {
		case !ok || pid == self:
		case p.zombie():
			if p.ppid == self && !running.mains[pid] {
				_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
			} else if pid == t.main && !t.reaped {
				count++
			}
		default:
			count++
			act(table, p)
		}
	}
	return count
}

// endedChildren are the children of this process that have ended and that it
// may not wait for, or not yet.
func endedChildren(table map[int]process) map[process]bool {
	ended := map[process]bool{}
	for _, p := range table {
		if p.ppid == os.Getpid() && p.zombie() {
			ended[p] = true
		}
	}
	return ended
}

// mend looks again at processes whose parent is missing in the table because it
// ended while the table was read: they have got another one since, maybe this
// process. (Parents outside of this pid namespace are number 0.)
func mend(table map[int]process) {
	for pid, p := range table {
		for p.ppid != 0 && table[p.ppid].pid == 0 {
			now, ok := readProcess(pid)
			if !ok || now.ppid == p.ppid {
				break
			}
			p, table[pid] = now, now
		}
	}
}

// roots are the processes from which the rest of the tree descends.
func (t *tree) roots(table map[int]process, self int) map[int]bool {
	roots := map[int]bool{}
	if !t.reaped {
		roots[t.main] = true
	}
	for _, pid := range t.group.members() {
		roots[pid] = true
	}
	alone := len(running.mains) <= 1
	for pid, p := range table {
		if p.ppid == self && !running.mains[pid] && t.adopted(p, alone) {
			roots[pid] = true
			t.orphan[pid] = true
		}
	}
	if t.strays != nil {
		maps.Copy(roots, t.strays(table))
	}
	return roots
}

// adopted tells an orphan of the script from a helper that this program started
// itself: that one is spared, or runs the same program as the same user. Where
// several scripts run in this process, only the marker tells whose the orphan is.
func (t *tree) adopted(p process, alone bool) bool {
	if running.spares(p) {
		return false
	}
	if p.zombie() {
		return t.orphan[p.pid] // of another it cannot be told whose it was
	}
	if !alone {
		return marked(p, t.marker)
	}
	uid, ok := userOf(p.pid)
	return ok && (uid != os.Geteuid() || !sameProgram(p.pid))
}

func sameProgram(pid int) bool {
	ours, err1 := os.Stat("/proc/self/exe")
	theirs, err2 := os.Stat(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	return err1 == nil && err2 == nil && os.SameFile(ours, theirs)
}

// haveChildren says whether this process has any child, ended or not.
func haveChildren() bool {
	err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return !errors.Is(err, unix.ECHILD)
}

// adoptOrphans makes this process the parent of every descendant whose own
// parent ends, so that a daemon cannot leave the tree.
func adoptOrphans() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	return nil
}
