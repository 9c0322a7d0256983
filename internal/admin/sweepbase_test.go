package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"envrole/executor"
	"envrole/executor/driver"
	"envrole/internal/bases"
	"envrole/roles/fault"
	"envrole/roles/lease"
	"envrole/roles/settings"
	"envrole/roles/settings/schema"
)

// sweeping is a base that says when it sweeps.
type sweeping struct {
	executor.Base
	name string
	err  error
}

func (s sweeping) Table() schema.Table { return schema.Table{Name: s.name} }

func (s sweeping) Sweep(_ context.Context, job executor.Job, _ func(string) bool, log io.Writer) error {
	fmt.Fprintf(log, "%s sweeps %s\n", s.name, job.StateDir)
	return s.err
}

func TestASweepLooksAtEveryBase(t *testing.T) {
	conf := &settings.Settings{Executor: settings.Executor{Base: "one"}, State: settings.State{Dir: "/state"}}
	noEngine := fault.New(fault.Passing, "connect to the Engine", "", fmt.Errorf("no Engine: %w", executor.ErrUnreached), "")
	stays := fault.New(fault.Passing, "remove container", "x", errors.New("device busy"), "")
	closed := fault.New(fault.Permanent, "list containers", "", errors.New("not for you"), "")
	for name, c := range map[string]struct {
		one, two error
		want     string
	}{
		"all is well":                 {nil, nil, ""},
		"the configured one cannot":   {noEngine, nil, "no Engine"},
		"another one cannot":          {nil, noEngine, ""},
		"another is elsewhere":        {nil, executor.ErrElsewhere, ""},
		"another keeps something":     {nil, stays, "device busy"},
		"another may not look":        {nil, closed, "not for you"},
		"another could not clean":     {nil, fault.New(fault.Internal, "free user", "x", errors.New("not clean"), ""), "not clean"},
		"both":                        {noEngine, errors.New("not clean"), "not clean"},
		"the configured is elsewhere": {executor.ErrElsewhere, nil, "envrole program"},
	} {
		var log strings.Builder
		set := bases.Set{sweeping{name: "two", err: c.two}, driver.Base{}, sweeping{name: "one", err: c.one}}
		err := sweepBases(t.Context(), set, conf, &lease.Ledger{}, &log)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if got := log.String(); !strings.Contains(got, "one sweeps /state") || !strings.Contains(got, "two sweeps /state") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// The configuration names another base since; the user is kept for ever if
// nobody looks.
func TestASweepFreesUsersWhateverBaseIsConfigured(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("NOT TESTED: not root; a user for jobs cannot be cleaned")
		}
		t.Skip("SKIPPED: not root; a user for jobs cannot be cleaned")
	}
	t.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
	text := strings.Replace(good, "[executor.shell]\nuser = \"ci-job\"\n", "[executor]\nbase = \"driver\"\n[executor.driver]\nrun_exec = [\"/bin/true\"]\n", 1)
	file, state := write(t, text)
	users := filepath.Join(state, "users")
	if err := os.MkdirAll(users, 0o700); err != nil {
		t.Fatal(err)
	}
	record := filepath.Join(users, "envrole-admin-test.json")
	if err := os.WriteFile(record, []byte(`{"version":1,"user":"envrole-admin-test","uid":61399,"lease":"l","job_id":7,"boot":"another"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, said, code := call(t, "sweep", "--config", file)
	if _, err := os.Stat(record); !os.IsNotExist(err) || code != exitOK || !strings.Contains(said, "user envrole-admin-test is free") {
		t.Errorf("%d %v\n%s", code, err, said)
	}
}
