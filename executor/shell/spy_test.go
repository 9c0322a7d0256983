package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

const spySecret = "needle-in-another-job"

// spy tries, as a job would, everything that is to be impossible, and prints
// what was possible. targets are pids, paths are files, both of others.
func spy(targets, paths string) error {
	for field := range strings.FieldsSeq(targets) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			return err
		}
		for what, attack := range map[string]func(int) error{
			"read its environment": func(pid int) error { _, err := readSome(pid, "environ"); return err },
			"open its memory": func(pid int) error {
				_, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDONLY, 0)
				return err
			},
			"read its maps":     func(pid int) error { _, err := readSome(pid, "maps"); return err },
			"list its files":    func(pid int) error { _, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); return err },
			"enter its root":    func(pid int) error { _, err := os.ReadDir(fmt.Sprintf("/proc/%d/root/", pid)); return err },
			"signal it":         func(pid int) error { return unix.Kill(pid, 0) },
			"trace it":          unix.PtraceAttach,
			"seize it":          unix.PtraceSeize,
			"read it by vm":     readVM,
			"take a file of it": takeFile,
		} {
			if err := attack(pid); err == nil {
				fmt.Printf("BROKE OUT: %s (%d)\n", what, pid)
			}
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			fmt.Printf("SEEN: %d\n", pid)
		}
	}
	for path := range strings.FieldsSeq(paths) {
		if b, err := os.ReadFile(path); err == nil {
			fmt.Printf("BROKE OUT: read %s: %q\n", path, b)
		}
		if names, err := os.ReadDir(path); err == nil && len(names) > 0 {
			fmt.Printf("BROKE OUT: list %s\n", path)
		}
		if err := os.WriteFile(path+"-planted", nil, 0o600); err == nil && !strings.HasPrefix(path, "/tmp/") {
			fmt.Printf("BROKE OUT: write beside %s\n", path)
		}
		if _, err := os.Lstat(path); err == nil {
			fmt.Printf("THERE: %s\n", path)
		}
	}
	fmt.Println("tried all")
	return nil
}

func readSome(pid int, name string) (int, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := f.Read(make([]byte, 64))
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

func readVM(pid int) error {
	buf := make([]byte, 8)
	local := []unix.Iovec{{Base: &buf[0], Len: 8}}
	// Our own address is as good as any: being allowed gives EFAULT or bytes.
	_, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&buf[0])), Len: 8}}, 0)
	if errors.Is(err, unix.EFAULT) {
		return nil
	}
	return err
}

func takeFile(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	_, err = unix.PidfdGetfd(fd, 1, 0)
	return err
}

// spyProgram is this test binary where jobs may run it.
func spyProgram(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/var/lib", "envrole-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := dir + "/spy"
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(path, b, 0o755), os.Chmod(path, 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

// twoJobs gives the plans of two jobs that run at the same time.
func twoJobs(t *testing.T, kind string) (victim, attacker Plan) {
	t.Helper()
	isolated := strings.Contains(kind, "namespaces")
	if strings.HasPrefix(kind, "users") {
		pool, job := newPool(t, 2)
		if err := os.Chmod(filepath.Dir(job.StateDir), 0o755); err != nil {
			t.Fatal(err)
		}
		homes := filepath.Dir(leasedPlan(t, job, pool[0]).JobDir)
		for i, p := range []*Plan{&victim, &attacker} {
			job := numbered(job, i)
			*p = leasedPlan(t, job, pool[i])
			p.JobDir = filepath.Join(homes, p.marker())
			if isolated {
				p.Isolation, p.Private = Namespaces, []string{job.StateDir}
			}
			if _, err := takeUser(t.Context(), job, pool, p.JobDir); err != nil {
				t.Fatal(err)
			}
		}
	} else {
		victim = newUserPlan(t)
		attacker = victim
		attacker.LeaseID += "-2"
		attacker.TmpDir = "/tmp/envrole-" + attacker.marker()
		if isolated {
			homes := newHomes(t)
			for _, p := range []*Plan{&victim, &attacker} {
				p.Isolation, p.JobDir = Namespaces, filepath.Join(homes, p.marker())
			}
		}
	}
	for _, p := range []*Plan{&victim, &attacker} {
		if p.JobDir != "" {
			p.TmpDir = p.JobDir + "/tmp"
		}
		if p.Leased {
			p.Home, p.BuildsDir, p.CacheDir = p.JobDir+"/home", p.JobDir+"/builds/1/protected", p.JobDir+"/cache/1/protected"
		}
		if err := New(*p).Prepare(t.Context(), io.Discard); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := New(*p).Cleanup(context.Background(), io.Discard, io.Discard); err != nil {
				t.Error(err)
			}
		})
	}
	return victim, attacker
}

func TestAJobReachesNothingOfOthers(t *testing.T) {
	needRoot(t)
	program := spyProgram(t)
	for _, kind := range []string{"user", "user, namespaces", "users", "users, namespaces"} {
		t.Run(kind, func(t *testing.T) {
			isolated := strings.Contains(kind, "namespaces")
			apart := strings.HasPrefix(kind, "users")
			victim, attacker := twoJobs(t, kind)
			// The other job: it runs, with a session and files, until told to end.
			ctx, end := context.WithCancel(t.Context())
			there := make(chan struct{})
			out := &watcher{word: "ready", call: func() { close(there) }}
			ended := make(chan error, 1)
			other := script(t, "echo secret > $HOME/mine; echo secret > $TMPDIR/mine; mkdir -p "+victim.BuildsDir+"; echo secret > "+victim.BuildsDir+"/mine; echo ready; sleep 1000")
			go func() {
				ended <- New(victim).Run(ctx, other, []string{"AWS_SECRET_ACCESS_KEY=" + spySecret}, out)
			}()
			<-there
			defer func() { end(); <-ended }()

			// What is the runner's: files of its own, and this very process.
			private := t.TempDir()
			if err := os.Chmod(private, 0o700); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"response.json", "audit.jsonl"} {
				if err := os.WriteFile(private+"/"+name, []byte("of the runner"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			paths := []string{private, private + "/response.json", private + "/audit.jsonl", other.Path}
			targets := []string{"1", itoa(os.Getpid()), itoa(os.Getppid())}
			if apart {
				paths = append(paths, victim.Home+"/mine", victim.TmpDir+"/mine", victim.BuildsDir+"/mine", victim.JobDir)
			}
			if apart || isolated {
				paths = append(paths, victim.TmpDir+"/mine")
				for _, p := range mustFindProcesses(t, victim.UID) {
					targets = append(targets, itoa(p.pid))
				}
			}
			got, err := run(t, attacker, program, helperVariable+"=spy", "SHELL_TEST_PLAN={}",
				"SHELL_TEST_TARGETS="+strings.Join(targets[firstTarget(isolated):], " "), "SHELL_TEST_PATHS="+strings.Join(paths, " "))
			if err != nil || !strings.Contains(got, "tried all") {
				t.Fatalf("%v\n%s", err, got)
			}
			if strings.Contains(got, "BROKE OUT") || isolated && (strings.Contains(got, "SEEN") || strings.Contains(got, "THERE")) {
				t.Errorf("a job could:\n%s", got)
			}
			if !isolated && !strings.Contains(got, "SEEN: "+itoa(os.Getpid())) {
				t.Errorf("the attack did not find its target:\n%s", got)
			}
		})
	}
}

// firstTarget leaves process 1 out in a namespace: there it is the job's own
// init, which TestTheInitIsOutOfReach attacks.
func firstTarget(isolated bool) int {
	if isolated {
		return 1
	}
	return 0
}

func TestTheInitIsOutOfReach(t *testing.T) {
	p := newIsolatedPlan(t)
	got := mustRun(t, p, spyProgram(t)+"; ls /proc | grep -c '^[0-9]'", helperVariable+"=spy", "SHELL_TEST_PLAN={}", "SHELL_TEST_TARGETS=1", "SHELL_TEST_PATHS=", "AWS_SECRET_ACCESS_KEY="+spySecret)
	if strings.Contains(got, "BROKE OUT") || !strings.Contains(got, "SEEN: 1\n") {
		t.Errorf("a job could:\n%s", got)
	}
}

func mustFindProcesses(t testing.TB, uid int) []process {
	t.Helper()
	found, err := processesOf(uid)
	if err != nil || len(found) == 0 {
		t.Fatalf("%v, %v", found, err)
	}
	return found
}

// The same attack must be able to succeed: from root, it does.
func TestTheAttackWorksWhereNothingIsInItsWay(t *testing.T) {
	needRoot(t)
	p := newPlan(t)
	p.UID, p.GID = 0, 0
	file := filepath.Join(t.TempDir(), "open")
	if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	target := asJobUser(t, poolUID+60, "traced")
	if err := target.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = killAllOf(poolUID + 60); _ = target.Wait() }()
	got := mustRun(t, p, spyProgram(t), helperVariable+"=spy", "SHELL_TEST_PLAN={}", "SHELL_TEST_TARGETS="+itoa(target.Process.Pid), "SHELL_TEST_PATHS="+file)
	for _, want := range []string{"environment", "memory", "signal it", "read it by vm", "read " + file} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// With namespaces, what a job does in shared places is out of others' sight.
func TestIsolatedJobsShareNoIPC(t *testing.T) {
	victim, attacker := twoJobs(t, "user, namespaces")
	program := spyProgram(t)
	var out strings.Builder
	before := ipcLeft(t, victim.UID)
	s := script(t, program+"; grep -c ' "+itoa(jobUID)+" ' /proc/sysvipc/shm; ls /tmp")
	if err := New(victim).Run(t.Context(), s, []string{helperVariable + "=litter", "SHELL_TEST_PLAN={}", "SHELL_TEST_DIR=litter"}, &out); err != nil {
		t.Fatalf("%v %s", err, out.String())
	}
	if !strings.Contains(out.String(), "litter-file") {
		t.Errorf("no litter: %s", out.String())
	}
	if n := ipcLeft(t, victim.UID) - before; n > 0 {
		t.Errorf("%d objects are the host's", n)
	}
	if got := mustRun(t, attacker, "cat /proc/sysvipc/shm /proc/sysvipc/sem | wc -l; ls /tmp /var/tmp /dev/shm"); strings.Contains(got, "litter") || !strings.HasPrefix(got, "2\n") {
		t.Errorf("seen by another job: %s", got)
	}
	if got := strings.Join(owned(t, victim.UID), " "); strings.Contains(got, "litter") {
		t.Errorf("in the host's directories: %s", got)
	}
}
