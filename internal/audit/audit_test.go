package audit

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"envrole/roles/seal"
)

func TestConcurrentWritersNeverMixLines(t *testing.T) {
	dir := t.TempDir()
	const writers, lines = 20, 50
	long := strings.Repeat("x", 6000) // longer than a pipe's atomic write
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			l, err := Open(dir)
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Close()
			for range lines {
				if err := l.Event(Lent, Fields{"rule": long}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	f, err := os.Open(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var line struct{ Event, Rule string }
		if err := json.Unmarshal(sc.Bytes(), &line); err != nil || line.Event != "lent" || line.Rule != long {
			t.Fatalf("line %d is damaged: %v", n, err)
		}
		n++
	}
	if n != writers*lines {
		t.Errorf("got %d lines, want %d", n, writers*lines)
	}
}

func TestSecretsAndLineBreaksStayOut(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Event(Refused, Fields{"key": seal.NewSecret("hunter2hunter2"), "reason": "a\nb\x1b[31m"}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "hunter2") || strings.Count(string(b), "\n") != 1 || strings.Contains(string(b), "\x1b") {
		t.Errorf("audit line: %q", b)
	}
}

func TestAnEventThatDoesNotReachTheFileIsAnError(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full on this system")
	}
	l, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l.file = full
	if err := l.Event(Lent, Fields{}); err == nil {
		t.Error("a line lost to a full disk went unnoticed")
	}
}

func TestASymlinkIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/dev/null", filepath.Join(dir, FileName)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil {
		t.Error("the audit log followed a symbolic link")
	}
}

// An event that cannot be written as JSON must not pass for an audited one.
func TestAnEventThatCannotBeFormattedFails(t *testing.T) {
	log, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	if err := log.Event(Lent, Fields{"odd": make(chan int)}); err == nil {
		t.Error("it was lost without a word")
	}
	if err := log.Event(Lent, Fields{"fine": 1}); err != nil {
		t.Errorf("the next one: %v", err)
	}
}
