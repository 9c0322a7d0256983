package lease

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process names one process for good: a pid is used again, a pid with its start
// time is not.
type Process struct {
	PID   int
	Start uint64 // field 22 of /proc/<pid>/stat, clock ticks since boot
}

// stat is what is needed of /proc/<pid>/stat.
type stat struct {
	state   byte
	parent  int
	threads int
	start   uint64
}

// parseStat reads a line of /proc/<pid>/stat. The second field is the program's
// name in parentheses and may itself hold spaces and parentheses, chosen by
// whoever started it: the fields begin after the last one.
func parseStat(b []byte) (stat, error) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return stat{}, errors.New("process status: no program name")
	}
	f := strings.Fields(string(b[i+1:])) // f[0] is field 3
	if len(f) < 20 || len(f[0]) != 1 {
		return stat{}, fmt.Errorf("process status: %d fields", len(f)+2)
	}
	parent, err1 := strconv.Atoi(f[1])
	threads, err2 := strconv.Atoi(f[17])
	start, err3 := strconv.ParseUint(f[19], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return stat{}, fmt.Errorf("process status: %w", err)
	}
	return stat{state: f[0][0], parent: parent, threads: threads, start: start}, nil
}

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, err
	}
	return parseStat(b)
}

// gone says whether a process has certainly ended. The kernel is asked by
// kill(pid, 0), since /proc may be mounted so that it hides other users'
// processes.
func gone(pid int, start uint64) bool {
	if pid <= 0 {
		return false
	}
	if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return true
	}
	st, err := readStat(pid)
	if err != nil {
		return false
	}
	if st.start != start {
		return true // the pid was used again
	}
	// A zombie has ended, unless only its first thread has.
	return (st.state == 'Z' || st.state == 'X') && st.threads <= 1
}

// maxChain bounds a chain of ancestors; real ones have about ten.
const maxChain = 64

// Ancestors lists the ancestors of this process, the parent first, as far as
// /proc shows them.
func Ancestors() []Process {
	var chain []Process
	for pid := os.Getppid(); pid > 0 && len(chain) < maxChain; {
		st, err := readStat(pid)
		if err != nil {
			break
		}
		chain = append(chain, Process{PID: pid, Start: st.start})
		pid = st.parent
	}
	return chain
}

// EncodeChain gives a chain as short text for the environment of later stages:
// "pid.start" in decimal, joined by commas.
func EncodeChain(chain []Process) string {
	var b strings.Builder
	for i, p := range chain {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d.%d", p.PID, p.Start)
	}
	return b.String()
}

// DecodeChain reads what EncodeChain wrote; "" is an empty chain.
func DecodeChain(s string) ([]Process, error) {
	if s == "" {
		return nil, nil
	}
	// A pid and a start time have at most 10 and 20 digits.
	if len(s) > maxChain*32 {
		return nil, errors.New("chain of processes: too long")
	}
	parts := strings.Split(s, ",")
	if len(parts) > maxChain {
		return nil, fmt.Errorf("chain of processes: more than %d", maxChain)
	}
	chain := make([]Process, 0, len(parts))
	for _, part := range parts {
		p, t, ok := strings.Cut(part, ".")
		pid, err := strconv.ParseUint(p, 10, 31)
		start, err2 := strconv.ParseUint(t, 10, 64)
		if !ok || err != nil || err2 != nil || pid == 0 {
			return nil, errors.New("chain of processes: want pid.start, joined by commas")
		}
		chain = append(chain, Process{PID: int(pid), Start: start})
	}
	return chain, nil
}
