// Package dockertest gives tests a Docker Engine of their own, and images for
// it, without a registry and without a network. Only tests import it.
//
//	func TestMain(m *testing.M) { os.Exit(dockertest.Main(m)) }
//
//	func TestX(t *testing.T) {
//		d := dockertest.Start(t)                             // one for the test binary
//		d.Import(t, "busybox:latest", dockertest.Busybox())  // made on the fly, once per name
//		... d.Address ...                                    // "unix:///tmp/.../docker.sock"
//	}
//
// A daemon runs in namespaces of its own for network, mounts and processes: it
// can reach nothing, its firewall rules are not this host's, and when it ends -
// also because the test binary was killed - no process, container or mount of
// it stays. Its containers see each other and what Listen and AddAddress put
// there: a registry on 127.0.0.1, or somebody who answers on a link-local
// address.
//
// Without root or without dockerd the test is skipped, unless CI=true.
package dockertest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything of the daemon may take before a test gives up.
const patience = 60 * time.Second

// Daemon is a running Engine.
type Daemon struct {
	Address string // for the Engine API, "unix://..."
	Dir     string // what it keeps; removed when it ends

	cmd      *exec.Cmd
	words    io.WriteCloser // to the supervisor
	acks     *bufio.Reader  // from it
	imported map[string]bool
	mu       sync.Mutex
}

// shared is the daemon of this test binary.
var shared struct {
	sync.Mutex
	daemon *Daemon
	main   bool
}

// Main is for TestMain: it runs the tests and ends the daemon that Start began.
func Main(m *testing.M) int {
	shared.main = true
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.daemon != nil {
		shared.daemon.end()
	}
	return code
}

// Start gives the daemon of this test binary. Tests that stop or kill a daemon
// use Own.
func Start(tb testing.TB) *Daemon {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.main {
		tb.Fatal("dockertest: TestMain must call dockertest.Main, else the daemon would stay")
	}
	if shared.daemon == nil {
		shared.daemon = begin(tb, "")
	}
	return shared.daemon
}

// Own gives a daemon that only this test has. args are added to dockerd's.
func Own(tb testing.TB, args ...string) *Daemon {
	tb.Helper()
	d := begin(tb, "", args...)
	tb.Cleanup(d.end)
	return d
}

// OwnOnSmallDisk gives a daemon that only this test has, and that can keep no
// more than size, "200m" for example.
func OwnOnSmallDisk(tb testing.TB, size string) *Daemon {
	tb.Helper()
	d := begin(tb, size)
	tb.Cleanup(d.end)
	return d
}

// supervisor is the first process of the daemon's namespaces. It starts and
// ends dockerd by words on its standard input; when that closes, it ends, and
// the kernel ends everything else in its process namespace.
const supervisor = `set -eu
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
ip link set lo up
log=$1 data=$2 size=$3; shift 3
if [ -n "$size" ]; then mkdir "$data"; mount -t tmpfs -o "size=$size" tmpfs "$data"; fi
pid=
while read -r word; do
	case $word in
	start) dockerd "$@" >>"$log" 2>&1 </dev/null & pid=$! ;;
	*) kill "-$word" "$pid"; wait "$pid" 2>/dev/null || : ;;
	esac
	echo "$word"
done
kill -TERM "$pid" && wait "$pid"
`

func begin(tb testing.TB, size string, args ...string) *Daemon {
	tb.Helper()
	require(tb)
	// Not t.TempDir: the name of a unix socket has room for 107 characters.
	dir, err := os.MkdirTemp("", "dockertest-")
	if err != nil {
		tb.Fatal(err)
	}
	sock := filepath.Join(dir, "docker.sock")
	d := &Daemon{Address: "unix://" + sock, Dir: dir, imported: map[string]bool{}}
	argv := append([]string{
		"-c", supervisor, "supervisor", filepath.Join(dir, "log"), filepath.Join(dir, "data"), size,
		"--host", d.Address, "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "--config-file", filepath.Join(dir, "daemon.json"),
		"--shutdown-timeout", "1",
	}, args...)
	if err := os.WriteFile(filepath.Join(dir, "daemon.json"), []byte("{}"), 0o600); err != nil {
		tb.Fatal(err)
	}
	d.cmd = exec.CommandContext(context.Background(), "/bin/sh", argv...)
	d.cmd.Stderr = os.Stderr
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	if d.words, err = d.cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	d.acks = bufio.NewReader(out)
	if err := d.cmd.Start(); err != nil {
		_ = os.RemoveAll(dir)
		unavailable(tb, "no namespaces of its own for dockerd: "+err.Error())
	}
	if err := d.Continue(); err != nil {
		log := d.Log()
		d.end()
		unavailable(tb, fmt.Sprintf("dockerd does not start: %v\n%s", err, log))
	}
	return d
}

// require skips the test where no daemon can run.
func require(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		unavailable(tb, "dockerd needs root")
	}
	for _, program := range []string{"dockerd", "containerd", "ip", "iptables", "mount", "busybox"} {
		if _, err := exec.LookPath(program); err != nil {
			unavailable(tb, program+" is not on PATH (Debian: apt install docker.io iproute2 iptables busybox-static)")
		}
	}
}

func unavailable(tb testing.TB, why string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf("dockertest: %s, and CI=true demands this test", why)
	}
	tb.Skipf("NOT TESTED, dockertest: %s", why)
}

// Stop ends dockerd as an administrator does; Continue starts it again. The
// Engine ends its containers with it.
func (d *Daemon) Stop() error { return d.say("TERM") }

// Kill ends dockerd at once. Containers live on until Continue.
func (d *Daemon) Kill() error { return d.say("KILL") }

// Pause freezes dockerd: it accepts connections and does not answer. Resume
// undoes it.
func (d *Daemon) Pause() error { return d.signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (d *Daemon) Resume() error { return d.signal(syscall.SIGCONT) }

// Continue starts dockerd after Stop or Kill and waits until it answers.
func (d *Daemon) Continue() error {
	// A killed dockerd leaves its files behind.
	_ = os.Remove(filepath.Join(d.Dir, "pid"))
	if err := d.say("start"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		resp, err := d.Do(ctx, http.MethodGet, "/_ping", nil)
		if err == nil {
			_ = resp.Body.Close()
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (d *Daemon) say(word string) error {
	if _, err := io.WriteString(d.words, word+"\n"); err != nil {
		return err
	}
	ack, err := d.acks.ReadString('\n')
	if err != nil || strings.TrimSpace(ack) != word {
		return fmt.Errorf("supervisor of dockerd: %q %w", ack, errors.Join(err))
	}
	return nil
}

// signal goes to dockerd itself, which is the supervisor's only child of that name.
func (d *Daemon) signal(sig syscall.Signal) error {
	path := fmt.Sprintf("/proc/%d/task/%d/children", d.cmd.Process.Pid, d.cmd.Process.Pid)
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for field := range strings.FieldsSeq(string(b)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			continue
		}
		if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil && strings.TrimSpace(string(comm)) == "dockerd" {
			return syscall.Kill(pid, sig)
		}
	}
	return errors.New("dockerd does not run")
}

// end stops the daemon and removes what it kept.
func (d *Daemon) end() {
	_ = d.Resume()
	_ = d.words.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = d.cmd.Wait()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		_ = d.cmd.Process.Kill() // the first process of the namespace: all others go with it
		<-done
	}
	if err := os.RemoveAll(d.Dir); err != nil {
		fmt.Fprintln(os.Stderr, "dockertest:", err)
	}
}

// Log is what dockerd wrote so far.
func (d *Daemon) Log() string {
	b, _ := os.ReadFile(filepath.Join(d.Dir, "log"))
	return string(b)
}

// Do sends a plain request to the Engine API, for what a test wants to see with
// its own eyes. The answer's status is not judged.
func (d *Daemon) Do(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://engine"+path, body)
	if err != nil {
		return nil, err
	}
	tr := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(d.Address, "unix://"))
		},
	}
	return (&http.Client{Transport: tr}).Do(req)
}

// Docker runs the docker command against the daemon and gives what it printed.
// A test that needs it is skipped where there is no such command.
func (d *Daemon) Docker(tb testing.TB, args ...string) (string, error) {
	tb.Helper()
	if _, err := exec.LookPath("docker"); err != nil {
		unavailable(tb, "docker is not on PATH")
	}
	cmd := exec.CommandContext(context.Background(), "docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+d.Address)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
