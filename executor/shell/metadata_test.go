package shell

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"envrole/roles/fault"
)

// service is a metadata service on loopback.
func service(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestReachableServicesAreNamedAndNotRemembered(t *testing.T) {
	bothPlans(t, func(t *testing.T, p Plan) {
		state := t.TempDir()
		l := service(t, "127.0.0.1:0")
		closed := service(t, "127.0.0.1:0")
		closed.Close()
		addrs := []string{closed.Addr().String(), l.Addr().String()}
		for range 2 {
			got, err := ProbeMetadata(t.Context(), p, state, addrs...)
			if err != nil || !slices.Equal(got, addrs[1:]) {
				t.Errorf("%q, %v", got, err)
			}
		}
		l.Close()
		got, err := ProbeMetadata(t.Context(), p, state, addrs...)
		if err != nil || len(got) != 0 {
			t.Errorf("after the remedy: %q, %v", got, err)
		}
	})
}

func TestThatNothingIsReachableIsRememberedForThisBoot(t *testing.T) {
	p, state := newPlan(t), t.TempDir()
	l := service(t, "127.0.0.1:0")
	addr := l.Addr().String()
	l.Close()
	if got, err := ProbeMetadata(t.Context(), p, state, addr); err != nil || len(got) != 0 {
		t.Fatalf("%q, %v", got, err)
	}
	service(t, addr)
	if got, err := ProbeMetadata(t.Context(), p, state, addr); err != nil || len(got) != 0 {
		t.Errorf("tried twice: %q, %v", got, err)
	}
	other := p
	other.UID++ // in this process, but a record of its own
	if got, err := ProbeMetadata(t.Context(), other, state, addr); err != nil || len(got) != 1 {
		t.Errorf("the record served another user: %q, %v", got, err)
	}
	record := filepath.Join(state, "metadata", itoa(p.UID))
	if b, err := os.ReadFile(record); err != nil {
		t.Error(err)
	} else if err := os.WriteFile(record, []byte(strings.Replace(string(b), "v1 ", "v1 0", 1)), 0o600); err != nil {
		t.Error(err)
	}
	if got, err := ProbeMetadata(t.Context(), p, state, addr); err != nil || len(got) != 1 {
		t.Errorf("the record of another boot was believed: %q, %v", got, err)
	}
}

func TestAProbeThatDidNotLookIsAnError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, p := range []Plan{newPlan(t), {SwitchUser: true, UID: jobUID, GID: jobUID, User: "ci-job"}} {
		state := t.TempDir()
		got, err := ProbeMetadata(ctx, p, state, "127.0.0.1:1")
		if err == nil || fault.ClassOf(err) != fault.Internal {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := os.Stat(filepath.Join(state, "metadata")); !os.IsNotExist(err) {
			t.Error("it was remembered")
		}
	}
}

func TestOnlyTheHiddenArgumentMakesAProbe(t *testing.T) {
	for _, args := range [][]string{nil, {"envrole-prepare"}, {"envrole-prepare", "--config", probeArg}} {
		if ProbeMain(args) {
			t.Errorf("%q", args)
		}
	}
}

// TestThePacketFilterKeepsJobsFromTheMetadataService puts the real address into
// a network namespace of its own, where nothing else is, and loads the rules
// that are shipped.
func TestThePacketFilterKeepsJobsFromTheMetadataService(t *testing.T) {
	needRoot(t)
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, tool+" is not there: the packet filter is not tested")
		}
	}
	ns := "envrole-test-" + itoa(os.Getpid())
	ip := func(args ...string) ([]byte, error) { return exec.Command("ip", args...).CombinedOutput() }
	if out, err := ip("netns", "add", ns); err != nil {
		t.Skipf("SKIPPED: no network namespace can be made here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := ip("netns", "delete", ns); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	inside := func(args ...string) []string { return append([]string{"netns", "exec", ns}, args...) }
	for _, args := range [][]string{inside("ip", "link", "set", "lo", "up"), inside("ip", "address", "add", "169.254.169.254/32", "dev", "lo")} {
		if out, err := ip(args...); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	p := newUserPlan(t)
	root := newPlan(t)
	ask := func(p Plan) string {
		cmd := helperCommand(t, "metadata", p, "SHELL_TEST_STATE="+t.TempDir())
		cmd.Args = append([]string{"ip"}, inside(cmd.Path)...)
		path, err := exec.LookPath("ip")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Path = path
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	const open, shut = `reachable=["169.254.169.254:80"]`, `reachable=[]`
	if got := ask(p); got != open {
		t.Fatalf("without rules: %s", got)
	}
	rules, err := filepath.Abs("../../packaging/envrole-metadata.nft")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // it may be loaded again
		if out, err := ip(inside("nft", "-f", rules)...); err != nil {
			t.Skipf("SKIPPED: the kernel takes no rules: %v: %s", err, out)
		}
	}
	if got := ask(p); got != shut {
		t.Errorf("with rules, as the job's user: %s", got)
	}
	if got := ask(root); got != open {
		t.Errorf("with rules, as the runner: %s", got)
	}
	sub := p
	sub.UID = 200_000 // as one that /etc/subuid gives the job's user
	if got := ask(sub); got != shut {
		t.Errorf("with rules, as a subordinate user: %s", got)
	}
	out, err := ip(inside("nft", "list", "counter", "inet", "envrole_metadata", "refused_ipv4")...)
	if err != nil || strings.Contains(string(out), "packets 0 ") {
		t.Errorf("nothing was counted: %v: %s", err, out)
	}
}
