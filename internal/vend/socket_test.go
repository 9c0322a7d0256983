package vend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// asClient makes this program the client, as envrole-run is one.
const asClient = "ENVROLE_VEND_CLIENT"

func TestMain(m *testing.M) {
	if socket := os.Getenv(asClient); socket != "" {
		code, _ := ClientMain([]string{"envrole-run", "--credentials", socket}, os.Stdout, os.Stderr)
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func socket(t *testing.T, uid int, p Provider) *Socket {
	t.Helper()
	s, err := Listen(Dir(t.Name()), uid, os.Getegid(), "/usr/local/bin/envrole-run", "eu-central-1", p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func client(t *testing.T, s *Socket) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	code, mine := ClientMain([]string{"envrole-run", "--credentials", filepath.Join(s.dir, socketName)}, &o, &e)
	if !mine {
		t.Fatal("the client does not know its own arguments")
	}
	return code, o.String(), e.String()
}

func TestTheClientPrintsWhatSDKsExpect(t *testing.T) {
	code, out, errs := client(t, socket(t, os.Geteuid(), always))
	var got map[string]any
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || errs != "" {
		t.Fatalf("%d %q %q %v", code, out, errs, err)
	}
	for k, want := range map[string]any{
		"Version": 1.0, "AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "the-secret-key",
		"SessionToken": "the-session-token", "Expiration": "2026-11-22T19:00:00Z",
	} {
		if got[k] != want {
			t.Errorf("%s is %v, want %v", k, got[k], want)
		}
	}
}

func TestAnotherUserGetsNothing(t *testing.T) {
	s := socket(t, os.Geteuid()+1000, always)
	if code, out, errs := client(t, s); code == 0 || out != "" || !strings.Contains(errs, "another user") {
		t.Errorf("%d %q %q", code, out, errs)
	}
}

// The same from the other side: a process of another user cannot even connect.
func TestAnotherLocalUserCannotConnect(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root")
		}
		t.Skip("NOT TESTED: needs root to become another user")
	}
	exe := filepath.Join("/tmp", "envrole-vend-test-"+Dir("x")[len(tmp)+1:])
	b, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, b, 0o755); err != nil { // another user runs it
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(exe) })
	s := socket(t, 65001, always)
	ask := func(uid uint32) (string, error) {
		cmd := exec.Command(exe)
		cmd.Dir, cmd.Env = "/", []string{asClient + "=" + filepath.Join(s.dir, socketName)}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := ask(65001); err != nil || !strings.Contains(out, "the-secret-key") {
		t.Errorf("the job's user: %q %v", out, err)
	}
	if out, err := ask(65002); err == nil || strings.Contains(out, "the-secret-key") || !strings.Contains(out, "not to this user") {
		t.Errorf("another user: %q %v", out, err)
	}
	// Root passes the mode, and is told off by the peer check.
	if out, err := ask(0); err == nil || strings.Contains(out, "the-secret-key") {
		t.Errorf("root: %q %v", out, err)
	}
	for _, name := range []string{".", configName, credentialsName} {
		info, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil || info.Mode()&0o022 != 0 || info.Sys().(*syscall.Stat_t).Uid != 0 { //nolint:forcetypeassert // Linux
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
}

func TestRefusalsReachTheTool(t *testing.T) {
	s := socket(t, os.Geteuid(), func(context.Context) (Credentials, error) {
		return Credentials{}, errors.New("the job's deadline has passed")
	})
	if code, out, errs := client(t, s); code != 1 || out != "" || errs != "envrole: the job's deadline has passed\n" {
		t.Errorf("%d %q %q", code, out, errs)
	}
}

// Connections of which nothing is read, far more than allowed, are closed for
// newer ones.
func TestIdleConnectionsStopNobody(t *testing.T) {
	release := make(chan struct{})
	var waiting atomic.Int64
	s := socket(t, os.Geteuid(), func(context.Context) (Credentials, error) {
		if waiting.Add(1) <= 4*maxConns {
			<-release
		}
		return lent(), nil
	})
	defer close(release)
	var first net.Conn
	for i := range 4 * maxConns {
		c, err := net.Dial("unix", filepath.Join(s.dir, socketName))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i == 0 {
			first = c
		}
		// Before the next comes: the listener's queue is short on some hosts.
		eventually(t, "it is let in", func() bool { return waiting.Load() == int64(i+1) })
		if n := len(s.crowd.members()); n > maxConns {
			t.Fatalf("%d connections are open", n)
		}
	}
	if code, _, errs := client(t, s); code != 0 {
		t.Errorf("%d %q", code, errs)
	}
	gone(t, "the oldest connection", first)
}

func TestClosingAndSweepingLeaveNothing(t *testing.T) {
	s := socket(t, os.Geteuid(), always)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is left: %v", err)
	}
	if code, _, errs := client(t, s); code == 0 || !strings.Contains(errs, "not served any more") {
		t.Errorf("%d %q", code, errs)
	}
	killed, other := socket(t, os.Geteuid(), always), Dir("another lease")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(other) })
	if err := Sweep(t.Name()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(killed.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory of a killed stage is left: %v", err)
	}
	if _, err := os.Lstat(other); err != nil {
		t.Errorf("another job's directory: %v", err)
	}
}

// A path that a shell or a config file would read as something else is refused.
func TestOddPathsAreRefused(t *testing.T) {
	for _, program := range []string{"/opt/a b/envrole-run", "/opt/$(id)/x", "/opt/a\nb", `/opt/"x"`, "/opt/x;y", "/opt/x#y", "/opt/x%y"} {
		s, err := Listen(Dir(t.Name()), os.Geteuid(), os.Getegid(), program, "eu-central-1", always)
		if err == nil {
			_ = s.Close()
			t.Errorf("%q is taken", program)
		}
	}
}

func TestOtherArgumentsAreNotTheClients(t *testing.T) {
	for _, args := range [][]string{{"envrole-run"}, {"envrole-run", "--credentials"}, {"envrole-run", "script", "build_script"}, {"envrole-run", "a", "--credentials", "b"}} {
		if _, mine := ClientMain(args, os.Stdout, os.Stderr); mine {
			t.Errorf("%q", args)
		}
	}
}
