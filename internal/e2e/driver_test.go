package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"envrole/internal/fakerunner"
)

// wrap makes the world's driver base run programs of argv, with the stage's name
// added. more are further keys of [executor.driver].
func (w *world) wrap(rules, more string, argv ...string) {
	w.t.Helper()
	w.configure(rules, "[executor]\nbase = \"driver\"\n\n[executor.driver]\n"+more+"\n"+commands(argv...))
}

func commands(argv ...string) string {
	var text strings.Builder
	for _, stage := range []string{"config", "prepare", "run", "cleanup"} {
		fmt.Fprintf(&text, "%s_exec = [", stage)
		for _, arg := range append(slices.Clone(argv), stage) {
			fmt.Fprintf(&text, "%q, ", arg)
		}
		text.WriteString("]\n")
	}
	return text.String()
}

// lacking skips a test that needs a part of the host, but not in CI.
func lacking(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI lacks %s", what)
	}
	t.Skipf("SKIPPED: this host lacks %s", what)
}

// chrootDriver is the driver of executor/driver/testdata, at a place of its own.
func (w *world) chrootDriver() string {
	w.t.Helper()
	if out, err := exec.Command("unshare", "--mount", "--pid", "--fork", "true").CombinedOutput(); err != nil {
		lacking(w.t, "unshare and the right to make namespaces: "+string(out))
	}
	text, err := os.ReadFile("../../executor/driver/testdata/chrootdriver")
	if err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(w.dir, "chrootdriver")
	if err := os.WriteFile(path, text, 0o700); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// showing is a script that shows what it has got, and where it runs.
const showing = `test -e /root-of-its-own && echo "in the root"
echo "key $AWS_ACCESS_KEY_ID"; echo "secret $AWS_SECRET_ACCESS_KEY"; echo "region $AWS_REGION of ${ENVROLE_ENVIRONMENT:-none}"
`

func TestAChrootDriverIsWrapped(t *testing.T) {
	for _, inject := range []string{"script", "env", "both"} {
		t.Run(inject, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, productionRule)
			w.wrap(productionRule, "inject = \""+inject+"\"", w.chrootDriver())
			if inject == "env" {
				w.runner.Environ = append(w.runner.Environ, "CHROOT_DRIVER_CARRY=yes")
			}
			res := w.run(w.payload("honest_production"), showing)
			if res.State != fakerunner.Success {
				t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
			}
			i := slices.IndexFunc(w.aws.Sessions(), func(s sessionInfo) bool { return s.Role == deployRole })
			if i < 0 {
				t.Fatal("no session")
			}
			mustHold(t, "the job's log", res.Log,
				"a root of its own for job ", "Using Custom executor with driver envrole/driver chroot", "the root is ready",
				"in the root", "key "+w.aws.Sessions()[i].AccessKeyID, "secret [MASKED]", "region eu-central-1 of production",
			)
			mustHold(t, "cleanup's log", res.Cleanup, "cleaning up")
			if res.Config.BuildsDir != "/builds" || res.Config.CacheDir != "/cache" || res.Config.Shell != "bash" || res.Config.BuildsDirIsShared {
				t.Errorf("config: %+v", res.Config)
			}
			w.noSecrets("the job's log", res.Log)
			w.noSecrets("cleanup's log", res.Cleanup)
			if left, _ := filepath.Glob(filepath.Join(w.dir, "chroot-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			w.settled()
			w.nothingLeft()
		})
	}
}

func TestAScriptsExitCodeComesThroughAWrappedDriver(t *testing.T) {
	w := newWorld(t, productionRule)
	w.wrap(productionRule, "", w.chrootDriver())
	for _, code := range []int{1, 2, 42, 255} {
		res := w.run(w.payloadAs("honest_production", int64(9000+code)), fmt.Sprintf("exit %d", code))
		if res.State != fakerunner.ScriptFailure || res.ExitCode != code {
			t.Errorf("exit %d: %s %d %v\n%s", code, res.State, res.ExitCode, res.Err, res.Log)
		}
		if strings.Contains(res.Log, "the wrapped driver ended") {
			t.Errorf("EnvRole has something to add:\n%s", res.Log)
		}
	}
	w.settled()
}

// A driver that traces: the trace goes on for the author's commands, and begins
// after the session.
func TestATracingDriverShowsNoExport(t *testing.T) {
	w := newWorld(t, productionRule)
	w.wrap(productionRule, "", w.chrootDriver())
	w.runner.Environ = append(w.runner.Environ, "CHROOT_DRIVER_BASH=-x")
	res := w.bare(w.payload("honest_production"), fakerunner.SubStage{Name: "build_script", Script: "echo the author's command > /dev/stdout"})
	if strings.Contains(res.Log, "export AWS") || strings.Contains(res.Log, "AWS_SECRET_ACCESS_KEY") {
		t.Errorf("the trace shows the session:\n%s", res.Log)
	}
	mustHold(t, "the job's log", res.Log, "+ set -eo pipefail")
	w.settled()
}

// sshHost starts an sshd on loopback for this test, and gives the arguments that
// lead the driver of executor/driver/testdata there.
func (w *world) sshHost() []string {
	t := w.t
	t.Helper()
	sshd := "/usr/sbin/sshd"
	if _, err := os.Stat(sshd); err != nil {
		lacking(t, "sshd (package openssh-server)")
	}
	for _, program := range []string{"ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(program); err != nil {
			lacking(t, program+" (package openssh-client)")
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if me.Uid == "0" {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			lacking(t, "/run/sshd: "+err.Error())
		}
	}
	dir := filepath.Join(w.dir, "ssh")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(dir, 0o700))
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, key := range []string{"host", "user"} {
		out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", at(key)).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(err)
	must(l.Close())
	hostKey, err := os.ReadFile(at("host.pub"))
	must(err)
	userKey, err := os.ReadFile(at("user.pub"))
	must(err)
	must(os.WriteFile(at("known"), []byte("[127.0.0.1]:"+port+" "+string(hostKey)), 0o600))
	must(os.WriteFile(at("authorized"), userKey, 0o600))
	must(os.WriteFile(at("config"), fmt.Appendf(nil, `Port %s
ListenAddress 127.0.0.1
HostKey %s
AuthorizedKeysFile %s
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
MaxStartups 100
`, port, at("host"), at("authorized")), 0o600))
	log, err := os.Create(at("log"))
	must(err)
	server := exec.Command(sshd, "-D", "-e", "-f", at("config"))
	server.Stderr = log
	must(server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		_ = log.Close()
	})
	eventually(t, "sshd listens", func() bool {
		c, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	driver := at("sshdriver")
	if out, err := exec.Command("go", "build", "-o", driver, "../../executor/driver/testdata/sshdriver").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return []string{driver, port, me.Username, at("user"), at("known")}
}

func TestAnSSHDriverIsWrapped(t *testing.T) {
	w := newWorld(t, productionRule)
	w.wrap(productionRule, "", w.sshHost()...)
	res := w.run(w.payload("honest_production"), showing+w.callAWS())
	if res.State != fakerunner.Success {
		t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
	mustHold(t, "the job's log", res.Log,
		"driver envrole/driver ssh", "SSH_DRIVER is yes", "secret [MASKED]", "region eu-central-1 of production", "the call was allowed")
	w.noSecrets("the job's log", res.Log)
	mustHold(t, "cleanup's log", res.Cleanup, "nothing to remove")
	w.settled()
	if res := w.run(w.payloadAs("honest_production", 9107), "exit 7"); res.State != fakerunner.ScriptFailure || res.ExitCode != 7 {
		t.Errorf("exit 7: %s %d\n%s", res.State, res.ExitCode, res.Log)
	}
	w.settled()
	w.nothingLeft()
}

// A cancel reaches the driver as it does without EnvRole; the job's last scripts
// run, and the session is taken back.
func TestACancelReachesAWrappedDriver(t *testing.T) {
	w := newWorld(t, productionRule)
	w.wrap(productionRule, "", w.sshHost()...)
	started := filepath.Join(w.dir, "started")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		eventually(t, "the script starts", func() bool { _, err := os.Stat(started); return err == nil })
		cancel()
	}()
	begun := time.Now()
	res := w.runner.Run(ctx, fakerunner.Job{Payload: w.payload("honest_production"), SubStages: []fakerunner.SubStage{
		{Name: "build_script", Script: "touch " + started + "; sleep 60"},
		{Name: "after_script", Script: w.callAWS()},
	}})
	if res.State != fakerunner.Canceled || time.Since(begun) > 40*time.Second {
		t.Errorf("%s after %s\n%s", res.State, time.Since(begun), res.Log)
	}
	mustHold(t, "the job's log", res.Log, "the call was allowed")
	w.settled()
	w.nothingLeft()
}
