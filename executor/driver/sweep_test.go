package driver

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"envrole/executor"
	"envrole/roles/fault"
)

const dead = "aaaaaaaaaaaaaaaaaaaaaaaaaa"

// leftover is a state directory and a copy that a killed stage left.
type leftover struct {
	*job
	state string
	dir   string // of the copy
	name  string // of the record
	rec   copyRecord
}

// newLeftover runs a stage that is killed from within.
func newLeftover(t *testing.T) *leftover { return newLeftoverIn(t, t.TempDir()) }

func newLeftoverIn(t *testing.T, tmp string) *leftover {
	t.Helper()
	j := newJob(t)
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	j.dir = tmp
	l := &leftover{job: j, state: t.TempDir()}
	j.plan.State, j.plan.Lease, j.plan.Mark = l.state, dead, mark(dead)
	j.plan.Run = []string{j.program("#!/bin/sh\nkill -9 $PPID\n")}
	if code, out, errs := j.run("run", j.script("script", "true\n"), "build_script", "AWS_SESSION_TOKEN=of the dead job"); code != -1 {
		t.Fatalf("the stage lives: %d\n%s%s", code, out, errs)
	}
	dirs, _ := filepath.Glob(filepath.Join(j.dir, copyPrefix+"*"))
	records, _ := filepath.Glob(filepath.Join(l.state, recordsDir, "*"))
	if len(dirs) != 1 || len(records) != 1 {
		t.Fatalf("copies %v, records %v", dirs, records)
	}
	l.dir, l.name = dirs[0], filepath.Base(records[0])
	b, err := os.ReadFile(l.record())
	if err != nil || json.Unmarshal(b, &l.rec) != nil {
		t.Fatalf("%v %s", err, b)
	}
	if bytes.Contains(b, []byte("of the dead job")) {
		t.Errorf("the record holds the session: %s", b)
	}
	return l
}

func (l *leftover) record() string { return filepath.Join(l.state, recordsDir, l.name) }

// write replaces the record.
func (l *leftover) write() {
	l.t.Helper()
	b, err := json.Marshal(l.rec)
	if err == nil {
		err = os.WriteFile(l.record(), b, 0o600)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *leftover) sweep(alive bool) (string, error) {
	var log bytes.Buffer
	err := Base{}.Sweep(l.t.Context(), executor.Job{StateDir: l.state}, func(id string) bool { return id != dead || alive }, &log)
	return log.String(), err
}

func TestASweepGoesByTheLease(t *testing.T) {
	l := newLeftover(t)
	if log, err := l.sweep(true); err != nil || log != "" || !exists(l.dir) || !exists(l.record()) {
		t.Errorf("of a living job: %v %s", err, log)
	}
	log, err := l.sweep(false)
	if err != nil || exists(l.dir) || exists(l.record()) || !strings.Contains(log, "removed "+l.dir) {
		t.Errorf("of a dead job: %v %s", err, log)
	}
	if log, err := l.sweep(false); err != nil || log != "" {
		t.Errorf("again: %v %s", err, log)
	}
	if err := (Base{}).Sweep(t.Context(), executor.Job{StateDir: t.TempDir()}, nil, io.Discard); err != nil {
		t.Errorf("where there never was a copy: %v", err)
	}
}

// The runner is dead and the stage is not: its script goes on with its file.
func TestASweepLeavesTheCopyOfALivingStage(t *testing.T) {
	l := newLeftover(t)
	f, err := os.OpenFile(l.record(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if log, err := l.sweep(false); err != nil || log != "" || !exists(l.dir) {
		t.Errorf("%v %s", err, log)
	}
	_ = f.Close()
	if _, err := l.sweep(false); err != nil || exists(l.dir) {
		t.Errorf("%v", err)
	}
}

// What the copy's directory or the record may have become: nothing but what
// EnvRole made is ever removed.
func TestNoRecordMakesASweepRemoveAnythingElse(t *testing.T) {
	must := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, spoil := range map[string]func(l *leftover, precious string){
		"a link in the directory's place": func(l *leftover, precious string) {
			must(os.RemoveAll(l.dir), os.Symlink(precious, l.dir))
		},
		"a link in TMPDIR's place": func(l *leftover, precious string) {
			must(os.Rename(l.dir, filepath.Join(precious, filepath.Base(l.dir))), os.RemoveAll(l.job.dir), os.Symlink(precious, l.job.dir))
		},
		"a file name with a path": func(l *leftover, precious string) {
			l.rec.File = []byte("../../" + filepath.Base(precious) + "/script")
			l.write()
		},
		"the parent as file": func(l *leftover, _ string) { l.rec.File = []byte(".."); l.write() },
		"dots in TMPDIR": func(l *leftover, precious string) {
			l.rec.TempDir = []byte(l.job.dir + "/../" + filepath.Base(precious))
			l.write()
		},
		"relative": func(l *leftover, _ string) { l.rec.TempDir = []byte("."); l.write() },
		"a directory in the script's place": func(l *leftover, _ string) {
			path := filepath.Join(l.dir, "script")
			must(os.Remove(path), os.Mkdir(path, 0o700), os.WriteFile(filepath.Join(path, "script"), nil, 0o600))
		},
		"a link in the script's place": func(l *leftover, precious string) {
			path := filepath.Join(l.dir, "script")
			must(os.Remove(path), os.Symlink(filepath.Join(precious, "script"), path))
		},
		"open to others":  func(l *leftover, _ string) { must(os.Chmod(l.dir, 0o755)) },
		"a newer version": func(l *leftover, _ string) { l.rec.Version++; l.write() },
		"a link in the record's place": func(l *leftover, precious string) {
			must(os.Rename(l.record(), filepath.Join(precious, "record")), os.Symlink(filepath.Join(precious, "record"), l.record()))
		},
		"a record that others can write": func(l *leftover, _ string) { must(os.Chmod(l.record(), 0o666)) },
		"a record with a second name":    func(l *leftover, precious string) { must(os.Link(l.record(), filepath.Join(precious, "record"))) },
		"records that others can write":  func(l *leftover, _ string) { must(os.Chmod(filepath.Dir(l.record()), 0o777)) },
		"a link in the place of records": func(l *leftover, precious string) {
			dir := filepath.Dir(l.record())
			must(os.Rename(dir, filepath.Join(precious, "records")), os.Symlink(filepath.Join(precious, "records"), dir))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLeftover(t)
			precious := t.TempDir()
			must(os.WriteFile(filepath.Join(precious, "script"), []byte("precious"), 0o600))
			spoil(l, precious)
			before := tree(t, precious, l.job.dir)
			log, err := l.sweep(false)
			if err == nil || log != "" {
				t.Errorf("the sweep is content: %v %s", err, log)
			}
			if after := tree(t, precious, l.job.dir); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// tree lists what lies below directories.
func tree(t *testing.T, dirs ...string) string {
	t.Helper()
	out, err := exec.Command("find", append(dirs, "-printf", "%p %y\n")...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// A record of another user's is none, and so is a directory of his.
func TestASweepTouchesNothingOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		missing(t, "root")
	}
	for name, path := range map[string]func(l *leftover) string{
		"the record": func(l *leftover) string { return l.record() },
		"the copy":   func(l *leftover) string { return l.dir },
		"the script": func(l *leftover) string { return filepath.Join(l.dir, "script") },
	} {
		l := newLeftover(t)
		if err := os.Chown(path(l), 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if log, err := l.sweep(false); err == nil || log != "" || !exists(filepath.Join(l.dir, "script")) {
			t.Errorf("%s: %v %s", name, err, log)
		}
	}
}

// Files of the driver beside the script are not EnvRole's to remove.
func TestASweepLeavesOtherFilesInTheCopysDirectory(t *testing.T) {
	l := newLeftover(t)
	other := filepath.Join(l.dir, "of the driver")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := l.sweep(false)
	if err != nil || !exists(other) || exists(filepath.Join(l.dir, "script")) || exists(l.record()) || !strings.Contains(log, "other files are left") {
		t.Errorf("%v %s", err, log)
	}
}

// A stage dies at any moment: after the record's name, in the middle of it,
// before the directory, before the file.
func TestASweepOfWhatWasNeverFinished(t *testing.T) {
	for name, spoil := range map[string]func(l *leftover) error{
		"an empty record":  func(l *leftover) error { return os.Truncate(l.record(), 0) },
		"half a record":    func(l *leftover) error { return os.Truncate(l.record(), 20) },
		"no directory":     func(l *leftover) error { return os.RemoveAll(l.dir) },
		"no file":          func(l *leftover) error { return os.Remove(filepath.Join(l.dir, "script")) },
		"no TMPDIR":        func(l *leftover) error { return os.RemoveAll(l.job.dir) },
		"TMPDIR is a file": func(l *leftover) error { _ = os.RemoveAll(l.job.dir); return os.WriteFile(l.job.dir, nil, 0o600) },
	} {
		l := newLeftover(t)
		if err := spoil(l); err != nil {
			t.Fatal(err)
		}
		_, err := l.sweep(false)
		if name == "TMPDIR is a file" {
			if err == nil {
				t.Errorf("%s: the sweep is content", name)
			}
			continue
		}
		if err != nil || exists(l.record()) {
			t.Errorf("%s: %v, record %v", name, err, exists(l.record()))
		}
	}
}

// A service with a /tmp of its own must not forget what it cannot see.
func TestASweepThatSeesOtherDirectoriesForgetsNothing(t *testing.T) {
	l := newLeftover(t)
	l.rec.TempDir, l.rec.Mounts = []byte("/nonexistent/tmp"), "mnt:[1]"
	l.write()
	if _, err := l.sweep(false); err == nil || !strings.Contains(err.Error(), "PrivateTmp") || !exists(l.record()) {
		t.Errorf("%v", err)
	}
	l.rec.Boot = "an earlier one"
	l.write()
	if _, err := l.sweep(false); err != nil || exists(l.record()) {
		t.Errorf("after a boot: %v", err)
	}
}

func TestCleanupForgetsTheCopiesOfItsJobAlone(t *testing.T) {
	l := newLeftover(t)
	other := strings.Replace(l.record(), dead, strings.Repeat("b", 26), 1)
	l.write()
	b, err := os.ReadFile(l.record())
	if err == nil {
		err = os.WriteFile(other, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if code, out, errs := l.run("cleanup"); code != 0 || exists(l.dir) || exists(l.record()) || !exists(other) {
		t.Errorf("%d %s%s", code, out, errs)
	}
}

// Without a record no copy: a session that nobody would find is not written.
func TestWithoutARecordNoCopyIsMade(t *testing.T) {
	j := newJob(t)
	j.plan.State, j.plan.Lease = filepath.Join(t.TempDir(), "none"), dead
	ran := filepath.Join(j.dir, "ran")
	j.plan.Run = []string{j.program("#!/bin/sh\ntouch " + ran + "\n")}
	if err := j.inProcess(j.script("script", "true\n"), session(), io.Discard); err == nil || exists(ran) {
		t.Errorf("%v, ran %v", err, exists(ran))
	}
	j.noCopies()
}

// Two scripts of a job at once, as after a cancel: each has its own record.
func TestTwoStagesAtOnceHaveACopyEach(t *testing.T) {
	j := newJob(t)
	state := t.TempDir()
	j.plan.State, j.plan.Lease = state, dead
	first := filepath.Join(j.dir, "first")
	j.plan.Run = []string{j.program("#!/bin/sh\nif mkdir " + first + " 2>/dev/null; then while test -d " + first + "; do sleep 0.02; done; fi; bash < \"$1\"\n")}
	path := j.script("script", "echo \"token $AWS_SESSION_TOKEN\"\n")
	done := make(chan string, 1)
	go func() {
		_, out, errs := j.run("run", path, "build_script", "AWS_SESSION_TOKEN=one")
		done <- out + errs
	}()
	eventually(t, "the first waits", func() bool { return exists(first) })
	if code, out, errs := j.run("run", path, "after_script", "AWS_SESSION_TOKEN=two"); code != 0 || out != "token two\n" {
		t.Errorf("%d %s%s", code, out, errs)
	}
	if records, _ := filepath.Glob(filepath.Join(state, recordsDir, "*")); len(records) != 1 {
		t.Errorf("records: %v", records)
	}
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	if out := <-done; out != "token one\n" {
		t.Error(out)
	}
	if records, _ := filepath.Glob(filepath.Join(state, recordsDir, "*")); len(records) != 0 {
		t.Errorf("records: %v", records)
	}
	j.noCopies()
}

// A path is bytes, not text.
func TestACopyBelowAnOddPathIsFound(t *testing.T) {
	l := newLeftoverIn(t, filepath.Join(t.TempDir(), "a b\n\xff'\u00fc"))
	if log, err := l.sweep(false); err != nil || exists(l.dir) || log == "" {
		t.Errorf("%v %s, still there: %v", err, log, exists(l.dir))
	}
}

func TestAFullStateDirectoryMakesNoCopy(t *testing.T) {
	j := newJob(t)
	j.plan.State, j.plan.Lease = full(t), dead
	filler, err := os.Create(filepath.Join(j.plan.State, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = filler.Write(make([]byte, 4096))
	}
	_ = filler.Close()
	err = j.inProcess(j.script("script", "true\n"), session(), io.Discard)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(fault.HelpOf(err), "state directory") {
		t.Errorf("%v\n%s", err, fault.HelpOf(err))
	}
	j.noCopies()
	if records, _ := filepath.Glob(filepath.Join(j.plan.State, recordsDir, "*")); len(records) > 0 {
		t.Errorf("records: %v", records)
	}
}
