package doctest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"envrole/internal/fakeaws"
	"envrole/roles"
	"envrole/roles/lease"
)

// runnable are the only commands of a page that a test runs: EnvRole's own, and
// looking at the sandbox's audit log. Who writes a page does not think of this
// test, which may run as root: what is not named here never runs, nor does
// anything with a redirection, a pipe or a second command.
func runnable(line string) bool {
	return !strings.Contains(line, "-config") && // the sandbox's is in the environment
		regexp.MustCompile(`^(envrole [\w ./:="'-]+|tail -n \d+ /var/lib/envrole/audit\.jsonl)$`).MatchString(line)
}

// skipped are the commands that cannot run here, by how they begin, and why.
func skipped() map[string]string {
	return map[string]string{
		"make ":      "builds and tests this very tree; that the target exists is checked",
		"sudo make ": "changes the host; that the target exists is checked",
		"useradd ":   "needs root and changes the host",
		"chown ":     "needs root",
		"chmod ":     "changes the host",
		"install ":   "needs root and changes the host; that its files exist is checked",
		"systemctl ": "needs systemd",
		"loginctl ":  "needs systemd",
		"echo ":      "changes the host",
		"nft ":       "needs root and nftables",
		"aws ":       "needs the AWS CLI and an account",
	}
}

func TestCommands(t *testing.T) {
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+"/", "./cmd/...")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Run("run", func(t *testing.T) { commandsRun(t, bin) })
	t.Run("say what the pages say", func(t *testing.T) { commandsSay(t, bin) })
}

// host is a sandbox with the installed programs, the configuration of the
// install page, an AWS, and one session that a running job holds.
type host struct {
	bin, state string
	env        []string
}

func newHost(t *testing.T, bin string) host {
	t.Helper()
	h := host{bin: bin, state: filepath.Join(t.TempDir(), "state")}
	runner, trust, revokerTrust, revokerPolicy, _ := documented(t)
	rev := trusting(revokerRole, revokerTrust, "")
	rev.Allow = permissions(revokerPolicy, "")
	aws, err := fakeaws.Start(fakeaws.Options{Roles: []fakeaws.Role{
		{ARN: runnerRole, Allow: permissions(runner, "")}, trusting(deployRole, trust, ""), rev,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = aws.Close() })
	own, err := aws.IssueSession(runnerRole, "i-0123456789abcdef0", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "config.toml")
	text := "[state]\ndir = \"" + h.state + "\"\n\n"
	for _, b := range blocksOf(t, installPage, "toml") {
		if strings.Contains(b.text, "[gitlab]") {
			text += strings.ReplaceAll(b.text, `"ci-job"`, `"daemon"`) // check looks for the account
		}
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	h.env = append(aws.EndpointEnv(), "PATH="+h.bin+":"+os.Getenv("PATH"), "HOME="+t.TempDir(), "ENVROLE_CONFIG="+config,
		"AWS_ACCESS_KEY_ID="+own.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+own.SecretAccessKey, "AWS_SESSION_TOKEN="+own.SessionToken)
	h.lent(t)
	return h
}

// lent writes the lease of a job that runs, and a line into the audit log.
func (h host) lent(t *testing.T) {
	t.Helper()
	ledger, err := lease.Open(h.state)
	if err != nil {
		t.Fatal(err)
	}
	id, err := lease.NewID()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := ledger.Create(t.Context(), lease.Lease{
		ID: id, State: lease.Asked, JobID: 9876543, Project: "acme/shop/web", Environment: "production",
		Rule: "shop production", RoleARN: deployRole, SessionName: "gl-9876543-k3v7q2mzt4hxa", Revoke: roles.RevokePolicy,
		AskedAt: now, ExpiresAt: now.Add(time.Hour), Deadline: now.Add(2 * time.Hour),
	}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.state, "audit.jsonl"), []byte("{\"event\":\"lent\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run gives what a command prints and its exit code.
func (h host) run(t *testing.T, command string) (string, int) {
	t.Helper()
	command = strings.ReplaceAll(command, "/var/lib/envrole", h.state)
	cmd := exec.Command("bash", "-c", command)
	cmd.Dir, cmd.Env = t.TempDir(), h.env
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("%s: %v", command, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// commandsRun: every command of a page runs and ends well, unless it is on the
// list of those that cannot run here.
func commandsRun(t *testing.T, bin string) {
	ran := 0
	for _, b := range blocksOf(t, "", "sh") {
		text := strings.ReplaceAll(b.text, "\\\n", " ")
		var h *host
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), "  # ")
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") || skip(t, b, line) {
				continue
			}
			if !runnable(line) {
				t.Errorf("%s:%d: %s: not run; name it, with the reason, among those that cannot run here", b.page, b.line, line)
				continue
			}
			if h == nil {
				made := newHost(t, bin)
				h = &made
			}
			ran++
			if out, code := h.run(t, line); code != 0 {
				t.Errorf("%s:%d: %s: exit code %d\n%s", b.page, b.line, line, code, out)
			}
		}
	}
	if ran < 15 {
		t.Errorf("only %d commands ran", ran)
	}
}

// skip says whether the command is one that cannot run here, and checks what
// can be checked of it.
func skip(t *testing.T, b block, line string) bool {
	t.Helper()
	for begin := range skipped() {
		if !strings.HasPrefix(line, begin) {
			continue
		}
		if _, target, ok := strings.Cut(line, "make "); ok && strings.Contains(begin, "make") {
			target, _, _ = strings.Cut(target, " ")
			if !strings.Contains(page(t, "Makefile"), "\n"+target+":") {
				t.Errorf("%s:%d: there is no target %s", b.page, b.line, target)
			}
		}
		for _, name := range regexp.MustCompile(`(^|\s)([\w.-]+\.(service|timer|nft|toml))`).FindAllStringSubmatch(line, -1) {
			inPackaging := filepath.Join(root, "packaging", name[2])
			if _, err := os.Stat(inPackaging); err != nil && name[2] != "config.example.toml" {
				t.Errorf("%s:%d: there is no %s", b.page, b.line, name[2])
			}
		}
		return true
	}
	return false
}

// commandsSay: they do what the pages say of them, not only end well.
func commandsSay(t *testing.T, bin string) {
	h := newHost(t, bin)
	for _, c := range []struct {
		command string
		code    int
		says    string
	}{
		{"envrole check", 0, "usable"},
		{"envrole explain --project acme/shop/web --environment production --ref main --protected", 0, "lend: rule"},
		{"envrole explain --project acme/shop/web --environment production --ref feature-9", 0, "no role: rule"},
		{"envrole leases", 0, "gl-9876543-k3v7q2mzt4hxa"},
		{"envrole sweep", 0, "0 leases settled"},
		{"envrole revoke --job 1", 1, "nothing was revoked"},
		{"envrole revoke --rule 'shop production'", 0, "denied"},
		{"envrole leases --unrevoked", 0, "no leases"},
		{"envrole revoke", 64, "--job, --rule or --role is needed"},
		{"envrole version", 0, "envrole 0."},
		{"envrole-run", 64, "not started by GitLab Runner"},
		{"envrole check --config /nowhere", 1, "cannot read it"},
	} {
		out, code := h.run(t, c.command)
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit code %d\n%s", c.command, code, out)
		}
	}
}

// A page must not be able to make the test change the host.
func TestOnlyHarmlessCommandsAreRun(t *testing.T) {
	for _, line := range []string{
		"echo x >> /etc/cron.deny", "rm -rf /tmp/x", "sudo envrole sweep", "envrole leases > /etc/passwd",
		"envrole leases; reboot", "envrole leases | sh", "envrole leases && reboot", "envrole explain --job $(reboot)",
		"envrole leases `reboot`", "tail -n 1 /etc/shadow", "envrole sweep --config /etc/envrole/config.toml", "envrole-cleanup", "",
	} {
		if runnable(line) {
			t.Errorf("%q would run", line)
		}
	}
}
