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
	"sync"
	"testing"

	"envrole/executor"
	"envrole/roles/fault"
)

// claimedUID is the user of these tests alone: no process has it.
const claimedUID = 61470

// rivals are two state directories whose configurations name one user.
func rivals(t *testing.T) (who account, one, other executor.Job) {
	t.Helper()
	needRoot(t)
	who = account{name: "envrole-test-claimed", uid: claimedUID, gid: claimedUID, home: "/nonexistent"}
	one = executor.Job{LeaseID: "lease-one", JobID: 1, StateDir: t.TempDir()}
	other = executor.Job{LeaseID: "lease-other", JobID: 2, StateDir: t.TempDir()}
	return who, one, other
}

func mustBeHeld(t *testing.T, job executor.Job, who account, by string) {
	t.Helper()
	_, err := take(t, job, []account{who})
	if fault.ClassOf(err) != fault.Passing || !strings.Contains(err.Error(), "of another state directory") || !strings.Contains(err.Error(), by) {
		t.Errorf("want a refusal that names %s: %v", by, err)
	}
}

// Between two scripts a job has no process: its record alone says that it lives.
func TestAUserIsOfOneJobInAllStateDirectories(t *testing.T) {
	who, one, other := rivals(t)
	mustTake(t, one, []account{who}, who.name)
	mustBeHeld(t, other, who, one.StateDir)
	mustTake(t, one, []account{who}, who.name) // prepared again
	ones := book{usersPath(one.StateDir)}
	tenant, err := ones.read(who.name)
	if err != nil {
		t.Fatal(err)
	}
	tenant.Unclean = "something stays"
	if err := ones.write(*tenant); err != nil {
		t.Fatal(err)
	}
	mustBeHeld(t, other, who, one.StateDir)
	if err := ones.free(who.name); err != nil {
		t.Fatal(err)
	}
	mustTake(t, other, []account{who}, who.name)
	mustBeHeld(t, one, who, other.StateDir)
	// A state directory that is gone holds nothing.
	if err := os.RemoveAll(other.StateDir); err != nil {
		t.Fatal(err)
	}
	mustTake(t, one, []account{who}, who.name)
}

// What a dead job left with the user is not looked for while another has it.
func TestTheDeadJobOfOneDoesNotEndTheLivingOneOfAnother(t *testing.T) {
	who, one, other := rivals(t)
	mustTake(t, one, []account{who}, who.name)
	dead := newTenancy(other, who, "") // of before there were claims
	dead.Boot = "another"
	if _, err := openBook(other.StateDir); err != nil {
		t.Fatal(err)
	}
	others := book{usersPath(other.StateDir)}
	if err := others.write(dead); err != nil {
		t.Fatal(err)
	}
	cmd := asJobUser(t, who.uid, "traced")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-done })
	mustBeHeld(t, numbered(other, 3), who, one.StateDir)
	if err := (Base{}).Sweep(t.Context(), other, func(string) bool { return false }, io.Discard); err == nil || !strings.Contains(err.Error(), one.StateDir) {
		t.Errorf("sweep: %v", err)
	}
	p := dead.plan(other.StateDir)
	if err := New(p).Cleanup(t.Context(), io.Discard, io.Discard); err == nil {
		t.Error("cleanup says that it cleaned")
	}
	if !lives(cmd.Process.Pid) {
		t.Error("the other job's process was ended")
	}
	if tenant, err := others.read(who.name); err != nil || tenant == nil || tenant.Unclean != "" {
		t.Errorf("the record must stay as it is: %+v %v", tenant, err)
	}
}

// Two names of one state directory are one.
func TestAStateDirectoryIsNoRivalOfItself(t *testing.T) {
	who, one, _ := rivals(t)
	mustTake(t, one, []account{who}, who.name)
	tenant, err := book{usersPath(one.StateDir)}.read(who.name)
	if err != nil {
		t.Fatal(err)
	}
	tenant.Boot = "another"
	if err := (book{usersPath(one.StateDir)}).write(*tenant); err != nil {
		t.Fatal(err)
	}
	again := numbered(one, 1)
	again.StateDir = filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(one.StateDir, again.StateDir); err != nil {
		t.Fatal(err)
	}
	mustTake(t, again, []account{who}, who.name)
}

func TestManyStateDirectoriesRaceForAUser(t *testing.T) {
	who, _, _ := rivals(t)
	var mu sync.Mutex
	var taken, refused int
	var wg sync.WaitGroup
	for i := range 40 {
		job := executor.Job{LeaseID: fmt.Sprintf("lease-%d", i), JobID: int64(i), StateDir: t.TempDir()}
		wg.Go(func() {
			_, err := takeUser(context.Background(), job, []account{who}, "")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				taken++
			case fault.ClassOf(err) == fault.Passing:
				refused++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if taken != 1 || refused != 39 {
		t.Errorf("%d have the user, %d were refused", taken, refused)
	}
}

// Where nobody can tell whose a user is, it is given to nobody.
func TestABrokenClaimIsNoFreeUser(t *testing.T) {
	who, one, _ := rivals(t)
	file := filepath.Join(claimsDir, strconv.Itoa(who.uid))
	mustTake(t, one, []account{who}, who.name)
	if err := (book{usersPath(one.StateDir)}).free(who.name); err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func() error{
		"no path": func() error { return os.WriteFile(file, []byte("/var/lib/en"), 0o600) },
		"a link": func() error {
			return errors.Join(os.RemoveAll(file), os.Symlink("/dev/null", file))
		},
		"others may write": func() error { return errors.Join(os.RemoveAll(file), os.Chmod(claimsDir, 0o770)) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, err := take(t, one, []account{who}); fault.ClassOf(err) != fault.Internal || !strings.Contains(fault.HelpOf(err), claimsDir) {
			t.Errorf("%s: %v", name, err)
		}
		if err := errors.Join(os.RemoveAll(file), os.Chmod(claimsDir, 0o700)); err != nil {
			t.Fatal(err)
		}
	}
	mustTake(t, one, []account{who}, who.name)
}
