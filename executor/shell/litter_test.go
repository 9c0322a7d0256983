package shell

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// asJobUser starts this test binary as the user, as a helper that goes on for
// ever or ends by itself.
func asJobUser(t testing.TB, uid int, do string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(slices.Clone(env), helperVariable+"="+do, "SHELL_TEST_PLAN={}", "PATH="+defaultPath)
	cmd.Dir, cmd.Stderr = "/", os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	return cmd
}

const queueName = "envrole-test-queue"

// litter leaves what outlives a process. It is the job of the test's helper.
func litter(dir string) error {
	const size = 4096
	if _, _, errno := unix.Syscall(unix.SYS_SHMGET, 0, size, 0o600|unix.IPC_CREAT); errno != 0 {
		return fmt.Errorf("shmget: %w", errno)
	}
	if _, _, errno := unix.Syscall(unix.SYS_SEMGET, 0, 1, 0o600|unix.IPC_CREAT); errno != 0 {
		return fmt.Errorf("semget: %w", errno)
	}
	if _, _, errno := unix.Syscall(unix.SYS_MSGGET, 0, 0o600|unix.IPC_CREAT, 0); errno != 0 {
		return fmt.Errorf("msgget: %w", errno)
	}
	name, err := unix.BytePtrFromString(queueName)
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(name)), unix.O_CREAT|unix.O_RDWR, 0o600, 0, 0, 0); errno != 0 && errno != unix.ENOSYS {
		return fmt.Errorf("mq_open: %w", errno)
	}
	files := []string{"/tmp/%s-file", "/var/tmp/%s-file", "/dev/shm/%s-file", "/tmp/%s-dir/a/b/c"}
	if _, err := os.Stat("/run/lock"); err == nil {
		files = append(files, "/run/lock/%s-file")
	}
	for _, f := range files {
		path := fmt.Sprintf(f, dir)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o000)); err != nil {
			return err
		}
	}
	top := fmt.Sprintf("/tmp/%s-dir", dir)
	return errors.Join(os.Symlink("/etc", top+"/link"), os.Symlink("/etc/passwd", "/tmp/"+dir+"-link"),
		unix.Mkfifo(top+"/fifo", 0o600), os.Chmod(top+"/a/b", 0), os.Chmod(top+"/a", 0), os.Chmod(top, 0))
}

// addKey adds a key to the user's own keyring.
func addKey() error {
	_, err := unix.AddKey("user", "envrole-test", []byte("of the earlier job"), -4)
	return err
}

// readKey says what a keyring holds: the user's own, or SHELL_TEST_RING.
func readKey() {
	ring, err := strconv.Atoi(cmp.Or(os.Getenv("SHELL_TEST_RING"), "-4"))
	if err != nil {
		fmt.Println(err)
		return
	}
	id, err := unix.KeyctlSearch(ring, "user", "envrole-test", 0)
	fmt.Println("key:", id, err)
}

// traced is a process that has one of its own stopped by ptrace.
func traced() error {
	runtime.LockOSThread()
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	fmt.Println("ready")
	time.Sleep(1000 * time.Second)
	return nil
}

// owned lists what belongs to the user in the directories of all.
func owned(t testing.TB, uid int) []string {
	t.Helper()
	var found []string
	for _, dir := range sharedDirs(uid) {
		_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			var st unix.Stat_t
			if err == nil && unix.Lstat(path, &st) == nil && int(st.Uid) == uid {
				found = append(found, path)
			}
			return nil
		})
	}
	return found
}

// ipcLeft is what the tables of System V IPC have of the user.
func ipcLeft(t testing.TB, uid int) (n int) {
	t.Helper()
	for file, id := range map[string]string{"shm": "shmid", "sem": "semid", "msg": "msqid"} {
		b, err := os.ReadFile("/proc/sysvipc/" + file)
		if err != nil {
			missing(t, "System V IPC")
		}
		n += len(ipcOf(string(b), id, uid))
	}
	return n
}

// queueThere says whether the message queue is.
func queueThere() bool {
	name, _ := unix.BytePtrFromString(queueName)
	fd, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(name)), unix.O_RDONLY, 0, 0, 0, 0)
	if errno == 0 {
		_ = unix.Close(int(fd))
	}
	return errno != unix.ENOENT && errno != unix.ENOSYS
}

func TestAJobLeavesNothingBehind(t *testing.T) {
	pool, job := newPool(t, 1)
	p := startJob(t, job, pool)
	mark := "envrole-litter-" + p.marker()
	out, err := asJobUser(t, p.UID, "litter", "SHELL_TEST_DIR="+mark).Output()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", out)
	spool := map[string]string{
		"/var/spool/cron/crontabs/" + p.User: "* * * * * echo", "/var/lib/systemd/linger/" + p.User: "", "/var/spool/cron/atjobs/a00001": "echo", "/var/mail/" + p.User: "you have",
	}
	for path, text := range spool {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chown(path, p.UID, p.GID)); err != nil {
			t.Fatal(err)
		}
	}
	others, err := os.CreateTemp("/tmp", "envrole-others-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(others.Name())
	defer others.Close()
	if left := owned(t, p.UID); len(left) < 5 || ipcLeft(t, p.UID) != 3 {
		t.Fatalf("the litter is not there: %v", left)
	}
	queue := queueThere()
	if err := New(p).Cleanup(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if left := owned(t, p.UID); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if n := ipcLeft(t, p.UID); n > 0 {
		t.Errorf("%d IPC objects are left", n)
	}
	if queue && queueThere() {
		t.Error("the message queue is left")
	}
	for path := range spool {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left (%v)", path, err)
			_ = os.Remove(path)
		}
	}
	for _, path := range []string{"/etc/passwd", "/etc", others.Name()} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s is gone", path)
		}
	}
}

func TestAJobsKeysAreGone(t *testing.T) {
	pool, job := newPool(t, 1)
	p := startJob(t, job, pool)
	key := func() string {
		t.Helper()
		out, err := asJobUser(t, p.UID, "key").Output()
		if err != nil {
			t.Fatalf("%v %s", err, out)
		}
		return string(out)
	}
	if out, err := asJobUser(t, p.UID, "addkey").Output(); err != nil {
		missing(t, fmt.Sprintf("keys: %v %s", err, out))
	}
	if out := key(); !strings.Contains(out, "<nil>") {
		t.Fatalf("the key is not there: %s", out)
	}
	if err := New(p).Cleanup(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if out := key(); !strings.Contains(out, "key: -1") {
		t.Errorf("the key of the earlier job is left: %s", out)
	}
}

func TestNoProcessOutlivesCleanup(t *testing.T) {
	bomb := `ulimit -u 200; trap '' TERM HUP INT; f() { f & f & wait; }; f`
	for name, text := range map[string]string{
		"double fork":       "( ( setsid env -i sleep 1000 & ) & )",
		"stopped":           "( setsid env -i bash -c 'kill -STOP $$; sleep 1000' & )",
		"deaf":              "( trap '' TERM HUP INT; setsid env -i sleep 1000 & )",
		"fork bomb":         "( setsid env -i PATH=$PATH bash -c '" + strings.ReplaceAll(bomb, "'", `'\''`) + "' >/dev/null 2>&1 & )",
		"forks and ends":    `( setsid env -i PATH=$PATH bash -c 'ulimit -u 200; g() { (g &) ; exit; }; g & g' >/dev/null 2>&1 & )`,
		"in a namespace":    "( setsid unshare --user --pid --fork --map-root-user sleep 1000 >/dev/null 2>&1 & )",
		"first thread gone": "export PIDFILE=$HOME/pid; " + everyEscape(t)["first thread gone"],
	} {
		t.Run(name, func(t *testing.T) {
			pool, job := newPool(t, 1)
			p := startJob(t, job, pool)
			// The run stage is killed, so that cleanup has all the work.
			cmd := helperCommand(t, "run", p, "SHELL_TEST_NO_CGROUP=1", "SHELL_TEST_SCRIPT="+script(t, text+"\necho $$; exec sleep 1000").Path)
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var shell int
			if _, err := fmt.Fscan(stdout, &shell); err != nil {
				t.Fatal(err)
			}
			mustEscape(t, p.UID, shell)
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			start := time.Now()
			if err := New(p).Cleanup(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
			t.Logf("cleanup took %v", time.Since(start))
			// One that forks and ends at once is missed by most looks.
			for range 30 {
				if left, err := processesOf(p.UID); err != nil || len(left) > 0 {
					t.Fatalf("left: %v, %v", left, errors.Join(err, killAllOf(p.UID)))
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
}

// mustEscape waits until the user has a process outside of the shell's session.
func mustEscape(t *testing.T, uid, shell int) {
	t.Helper()
	eventually(t, "something has left the script's session", func() bool {
		found, err := processesOf(uid)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(found, func(p process) bool { return p.session != shell })
	})
}

func TestATracedProcessIsEnded(t *testing.T) {
	pool, job := newPool(t, 1)
	p := startJob(t, job, pool)
	cmd := asJobUser(t, p.UID, "traced")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	if left, err := processesOf(p.UID); err != nil || len(left) < 2 {
		t.Errorf("%v, %v", left, err)
	}
	go func() { _ = cmd.Wait() }()
	if err := New(p).Cleanup(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if left, err := processesOf(p.UID); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// What is ended is the job's user's, and nobody else's.
func TestOnlyTheUsersOwnProcessesAreEnded(t *testing.T) {
	pool, job := newPool(t, 1)
	p := startJob(t, job, pool)
	var others []*exec.Cmd
	for _, uid := range []int{0, poolUID + 50} {
		cmd := exec.Command("sleep", "1000")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		others = append(others, cmd)
	}
	mine := asJobUser(t, p.UID, "traced")
	if err := mine.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = mine.Wait() }()
	if err := endAllOf(t.Context(), p.UID); err != nil {
		t.Fatal(err)
	}
	for _, cmd := range others {
		if now, ok := readProcess(cmd.Process.Pid); !ok || now.zombie() {
			t.Errorf("%v was ended too", cmd.SysProcAttr.Credential)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// A job may neither signal nor trace what ends it.
func TestTheThreadThatKillsIsOutOfReach(t *testing.T) {
	needRoot(t)
	err := asUser(noAccount, poolUID, func() error {
		b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", unix.Gettid()))
		if err == nil && !strings.Contains(string(b), fmt.Sprintf("Uid:\t%d\t%d\t0\t", noAccount, poolUID)) {
			err = fmt.Errorf("the thread is %s", b)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if os.Geteuid() != 0 || os.Getuid() != 0 {
		t.Error("the process has changed")
	}
}
