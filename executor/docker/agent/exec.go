package agent

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// execMain runs one script and writes its Result to control.
func execMain(in io.Reader, control io.Writer) int {
	say := func(r Result) error {
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		return writeLine(control, string(b))
	}
	return report(say(run(bufio.NewReaderSize(in, 64<<10), say)))
}

// run runs the script that in holds. What it cannot end itself it says by call,
// and waits for help.
func run(in io.Reader, call func(Result) error) Result {
	// No process of the job may look into this one, which has the script's
	// environment before the script has it and may outlive it.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return Result{Error: fmt.Sprintf("hide from the job: %v", err)}
	}
	// Whatever leaves the script's tree becomes this process's child.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return Result{Error: fmt.Sprintf("become subreaper: %v", err)}
	}
	h, err := readHeader(in)
	if err != nil {
		return Result{Error: err.Error()}
	}
	script, err := readScript(in, h.Script)
	if err != nil {
		return Result{Error: err.Error()}
	}
	kills := oomKills()
	// The kernel kills the shell when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, err := start(h, script)
	_ = script.Close()
	if err != nil {
		return Result{Error: err.Error(), NoFile: errors.Is(err, errNotFound)}
	}
	t := follow(pid)
	gone := clientGone(in, h.Silence)
	r := Result{}
	select {
	case <-t.main:
	case <-gone:
		r.Ended = true
	}
	if !t.end(h.Grace) {
		pid := os.Getpid()
		if err := call(Result{Stuck: pid, Help: true}); err != nil || !t.helped(HelpBound) {
			r.Stuck = pid
			return r
		}
	}
	r.OOM = oomKills() > kills
	r.Exit, r.Signal = t.status.ExitStatus(), 0
	if t.status.Signaled() {
		r.Exit, r.Signal = 0, int(t.status.Signal())
	}
	return r
}

// clientGone is closed when in ends, or nothing came from it for silence: an
// Engine that was killed closes nothing.
func clientGone(in io.Reader, silence time.Duration) <-chan struct{} {
	gone, beats := make(chan struct{}), make(chan struct{})
	go func() {
		buf := make([]byte, 64)
		for {
			if _, err := in.Read(buf); err != nil {
				close(beats)
				return
			}
			beats <- struct{}{}
		}
	}()
	go func() {
		defer close(gone)
		for {
			var over <-chan time.Time
			if silence > 0 {
				over = time.After(silence)
			}
			select {
			case _, ok := <-beats:
				if !ok {
					return
				}
			case <-over:
				// A container that was frozen finds both at once: the time over,
				// and what came meanwhile.
				select {
				case _, ok := <-beats:
					if ok {
						continue
					}
				case <-time.After(silence / 10):
				}
				return
			}
		}
	}()
	return gone
}

// readScript takes the script into memory that nothing can change any more and
// that has no name in any file system.
func readScript(in io.Reader, size int64) (*os.File, error) {
	fd, err := unix.MemfdCreate("script", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("keep script in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "script")
	if _, err := io.CopyN(f, in, size); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("read script: %w", err)
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_GROW|unix.F_SEAL_SHRINK|unix.F_SEAL_SEAL); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("seal script: %w", err)
	}
	return f, nil
}

// scriptFD is how the shell names its script: the fourth file it inherits.
const scriptFD = "/proc/self/fd/3"

// start starts the shell. Standard output and error are one stream, so their
// order is that of writing.
func start(h Header, script *os.File) (pid int, err error) {
	if h.Shell != "bash" && h.Shell != "sh" {
		return 0, fmt.Errorf("shell %q: only bash and sh are known", h.Shell)
	}
	env := environ(os.Environ(), initEnviron(), h)
	shell, err := lookPath(h.Shell, pathOf(env))
	if err != nil {
		return 0, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	if h.Umask != nil {
		syscall.Umask(*h.Umask)
	}
	defer ratherThanThis()()
	out := os.Stdout.Fd()
	pid, err = syscall.ForkExec(shell, []string{shell, scriptFD}, &syscall.ProcAttr{
		Env:   env,
		Files: []uintptr{null.Fd(), out, out, script.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", shell, err)
	}
	return pid, nil
}

// environ is the environment of a script: the container's, what the image's
// entrypoint exported before it started idle, and what the caller adds.
func environ(own, entrypoint []string, h Header) []string {
	env := lastWins(append(append(append([]string{}, own...), entrypoint...), h.Env...))
	if pathOf(env) == "" {
		env = lastWins(append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
	}
	if h.Helper {
		env = lastWins(append(env, "PATH="+bridged(pathOf(env))))
	}
	return withRepository(env, h.Repository)
}

// bridged adds the shim directory to a PATH that has gitlab-runner-helper alone.
func bridged(path string) string {
	if _, err := lookPath(runnerProgram, path); err == nil {
		return path
	}
	if _, err := lookPath(helperProgram, path); err != nil {
		return path
	}
	return path + ":" + shimDir()
}

// shimDir holds a gitlab-runner that starts gitlab-runner-helper.
func shimDir() string {
	self, err := os.Executable()
	if err != nil {
		return Dir + "/bin"
	}
	return filepath.Join(filepath.Dir(self), "bin")
}

// initEnviron is the environment of the container's first process if that is
// idle: an image's entrypoint may have set variables, and its scripts rely on
// them. A first process that cannot be read has none to give.
func initEnviron() []string {
	if !isIdle(1) {
		return nil
	}
	b, err := os.ReadFile("/proc/1/environ")
	if err != nil {
		return nil
	}
	var env []string
	for kv := range strings.SplitSeq(string(b), "\x00") {
		if strings.Contains(kv, "=") {
			env = append(env, kv)
		}
	}
	return env
}

// pathOf is the value of PATH.
func pathOf(env []string) string {
	path := ""
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = v
		}
	}
	return path
}

// lastWins leaves the last value of each name, in the first one's place.
func lastWins(env []string) []string {
	at := make(map[string]int, len(env))
	var out []string
	for _, kv := range env {
		k, _, ok := strings.Cut(kv, "=")
		if !ok || k == "" {
			continue
		}
		if i, seen := at[k]; seen {
			out[i] = kv
			continue
		}
		at[k] = len(out)
		out = append(out, kv)
	}
	return out
}
