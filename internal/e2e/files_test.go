package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"envrole/internal/audit"
	"envrole/roles/lease"
)

// audit reads the audit log, each line of which must be one JSON object.
func (w *world) audit() []map[string]any {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.state, audit.FileName))
	if err != nil {
		w.t.Fatal(err)
	}
	w.noSecrets("the audit log", string(b))
	if len(b) > 0 && !bytes.HasSuffix(b, []byte("\n")) {
		w.t.Error("the audit log ends within a line")
	}
	var lines []map[string]any
	for line := range bytes.Lines(b) {
		var fields map[string]any
		if err := json.Unmarshal(line, &fields); err != nil {
			w.t.Fatalf("audit log: %v: %s", err, line)
		}
		lines = append(lines, fields)
	}
	return lines
}

// rewriteLease changes a record on disk behind the ledger's back.
func (w *world) rewriteLease(file string, change func(*lease.Lease)) {
	w.t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	var le lease.Lease
	if err := json.Unmarshal(b, &le); err != nil {
		w.t.Fatal(err)
	}
	change(&le)
	if b, err = json.Marshal(le); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// mustHold fails for each of the texts that the text does not hold.
func mustHold(t *testing.T, where, text string, want ...string) {
	t.Helper()
	for _, s := range want {
		if !bytes.Contains([]byte(text), []byte(s)) {
			t.Errorf("%s lacks %q:\n%.3000s", where, s, text)
		}
	}
}

// replaceConfig changes the configuration's text.
func (w *world) replaceConfig(old, text string) {
	w.t.Helper()
	b, err := os.ReadFile(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(old)) {
		w.t.Fatalf("the configuration lacks %q", old)
	}
	if err := os.WriteFile(w.config, bytes.Replace(b, []byte(old), []byte(text), 1), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// noToken fails if a text holds the token of the payload's job.
func (w *world) noToken(payload []byte, text string) {
	w.t.Helper()
	var p struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(payload, &p); err != nil || p.Token == "" {
		w.t.Fatalf("no token in the payload: %v", err)
	}
	if bytes.Contains([]byte(text), []byte(p.Token)) {
		w.t.Error("the job's token is in a log")
	}
}

// realPart finds a program that only a full machine has.
func realPart(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not on PATH", name)
	}
	t.Skipf("SKIPPED: %s is not on PATH; nothing of this was tested", name)
	return ""
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
