// Package packaging_test checks the units that are shipped.
package packaging_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"envrole/executor/shell"
)

// unit reads a systemd unit: section, key, all values.
func unit(t *testing.T, name string) map[string]map[string][]string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]map[string][]string{}
	section := ""
	for n, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		switch key, value, ok := strings.Cut(line, "="); {
		case line == "" || line[0] == '#':
		case line[0] == '[' && line[len(line)-1] == ']':
			section = line[1 : len(line)-1]
			sections[section] = map[string][]string{}
		case !ok || section == "":
			t.Errorf("%s:%d: %q", name, n+1, line)
		default:
			sections[section][key] = append(sections[section][key], value)
		}
	}
	return sections
}

func want(t *testing.T, u map[string]map[string][]string, section, key, value string) {
	t.Helper()
	if got := u[section][key]; len(got) != 1 || got[0] != value {
		t.Errorf("[%s] %s = %q, want %q", section, key, got, value)
	}
}

func TestSweepRunsTheCommandHardened(t *testing.T) {
	u := unit(t, "envrole-sweep.service")
	want(t, u, "Service", "ExecStart", "/usr/local/bin/envrole sweep --config /etc/envrole/config.toml")
	want(t, u, "Service", "Type", "oneshot")
	want(t, u, "Service", "NoNewPrivileges", "yes")
	want(t, u, "Service", "ProtectSystem", "strict")
	want(t, u, "Service", "StateDirectory", "envrole")
	want(t, u, "Service", "StateDirectoryMode", "0700")
	for _, key := range []string{"ProtectProc", "ProcSubset", "PrivatePIDs", "PrivateUsers", "PrivateNetwork"} {
		if _, ok := u["Service"][key]; ok {
			t.Errorf("%s would hide from the sweep what it has to see", key)
		}
	}
}

// With the drop-in the sweep has the rights, and the view of the host, that
// cleaning up after other users takes.
func TestTheDropInUndoesEveryViewOfItsOwn(t *testing.T) {
	base, dropIn := unit(t, "envrole-sweep.service")["Service"], unit(t, "envrole-sweep-users.conf")["Service"]
	for _, key := range []string{
		"ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectClock", "ProtectHostname",
		"ProtectControlGroups", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables",
	} {
		if _, ok := base[key]; ok && !slices.Equal(dropIn[key], []string{"no"}) {
			t.Errorf("%s gives the sweep a mount namespace", key)
		}
	}
	for key := range base {
		if (strings.HasPrefix(key, "Private") || strings.HasPrefix(key, "Protect")) && dropIn[key] == nil {
			t.Errorf("%s is left", key)
		}
	}
	if !slices.Equal(dropIn["SystemCallFilter"], []string{""}) {
		t.Error("the filter forbids what cleaning takes")
	}
	for _, name := range []string{"CAP_KILL", "CAP_SETUID", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SYS_ADMIN"} {
		if !strings.Contains(strings.Join(dropIn["CapabilityBoundingSet"], " "), name) {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestTimerStartsTheSweep(t *testing.T) {
	u := unit(t, "envrole-sweep.timer")
	want(t, u, "Install", "WantedBy", "timers.target")
	if len(u["Timer"]["OnUnitInactiveSec"]) != 1 || len(u["Timer"]["OnBootSec"]) != 1 {
		t.Errorf("%q", u["Timer"])
	}
	if unit := u["Timer"]["Unit"]; len(unit) != 0 {
		t.Errorf("it starts %q, not the service of its own name", unit)
	}
}

func TestMetadataRulesAreThereBeforeTheRunner(t *testing.T) {
	u := unit(t, "envrole-metadata.service")
	want(t, u, "Unit", "Before", "network-pre.target gitlab-runner.service")
	want(t, u, "Service", "ExecStart", "/usr/sbin/nft -f /etc/envrole/envrole-metadata.nft")
	want(t, u, "Service", "RemainAfterExit", "yes")
}

func TestRulesNameEveryAddressThatIsProbed(t *testing.T) {
	b, err := os.ReadFile("envrole-metadata.nft")
	if err != nil {
		t.Fatal(err)
	}
	words := strings.FieldsFunc(string(b), func(r rune) bool { return strings.ContainsRune(" ,{}\n\t", r) })
	for _, addr := range shell.MetadataAddresses() {
		host, _, err := net.SplitHostPort(addr)
		if err != nil || !slices.Contains(words, host) {
			t.Errorf("%s is missing: %v", addr, err)
		}
	}
}

// systemd itself reads the units, where it is installed.
func TestSystemdAcceptsTheUnits(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("SKIPPED: systemd-analyze is missing; the units were only parsed")
	}
	// The programs need not be installed for the unit to be right.
	dir := t.TempDir()
	var files []string
	for _, name := range []string{"envrole-sweep.service", "envrole-sweep.timer", "envrole-metadata.service"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer("/usr/local/bin/envrole", "/bin/true", "/usr/sbin/nft", "/bin/true").Replace(string(b))
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	out, err := exec.Command(tool, append([]string{"verify", "--man=no"}, files...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "envrole-") {
			t.Error(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Logf("systemd-analyze: %v: %s", err, out) // it may miss the host's own units
	}
}
