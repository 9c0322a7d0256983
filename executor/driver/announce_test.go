package driver

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"envrole/executor"
	"envrole/roles/fault"
	"envrole/roles/settings/schema"
)

// values is a table of the configuration, as far as the base reads it.
type values struct {
	schema.Values
	lists  map[string][]string
	inject string
}

func (v values) Texts(key string) []string { return v.lists[key] }
func (v values) Text(string) string        { return v.inject }
func (v values) Given(key string) bool     { return v.lists[key] != nil }

func announce(t *testing.T, config string) (executor.Announcement, string, error) {
	t.Helper()
	var log bytes.Buffer
	a, err := Base{}.Announce(t.Context(), executor.Job{
		LeaseID: "lease", Values: values{lists: map[string][]string{keyConfig: {newJob(t).program(config)}}},
	}, &log)
	return a, log.String(), err
}

func TestTheWrappedConfigIsMerged(t *testing.T) {
	a, log, err := announce(t, `#!/bin/sh
echo "looking for a machine" >&2
echo '{"driver":{"name":"tart","version":"1.2"},"hostname":"vm","builds_dir":"/b","cache_dir":"/c","builds_dir_is_shared":false,
 "shell":"pwsh","job_env":{"VM":"7"},"unknown":[1]}'
`)
	no := false
	want := executor.Announcement{
		Driver: "tart", DriverVersion: "1.2", Hostname: "vm", BuildsDir: "/b", CacheDir: "/c", BuildsDirIsShared: &no, Shell: "pwsh",
		JobEnv: map[string]string{"VM": "7"},
	}
	if err != nil || !reflect.DeepEqual(a, want) {
		t.Errorf("%+v %v", a, err)
	}
	if log != "looking for a machine\n" {
		t.Errorf("log %q", log)
	}
	for what, config := range map[string]string{"nothing": "#!/bin/sh\n", "an empty object": "#!/bin/sh\necho '{}'\n", "an empty driver": "#!/bin/sh\necho '{\"driver\":{}}'\n"} {
		if a, _, err := announce(t, config); err != nil || !reflect.DeepEqual(a, executor.Announcement{}) {
			t.Errorf("%s: %+v %v", what, a, err)
		}
	}
	if a, err := (Base{}).Announce(t.Context(), executor.Job{Values: values{}}, nil); err != nil || !reflect.DeepEqual(a, executor.Announcement{}) {
		t.Errorf("no config_exec: %+v %v", a, err)
	}
}

func TestABadConfigIsAClearError(t *testing.T) {
	for config, want := range map[string]struct {
		class fault.Class
		text  string
	}{
		"echo Hello":                               {fault.Internal, "no JSON"},
		"echo":                                     {fault.Internal, "no JSON"},
		`echo '{"job_env":{"A":1}}'`:               {fault.Internal, "no JSON"},
		`echo '{"job_env":{"ENVROLE_X":"1"}}'`:     {fault.Permanent, "ENVROLE_X"},
		`echo '{"job_env":{"A=B":"1"}}'`:           {fault.Permanent, "A=B"},
		`echo '{"job_env":{"":"1"}}'`:              {fault.Permanent, "not the name"},
		`echo '{"job_env":{"A":"\u0000"}}'`:        {fault.Permanent, "NUL"},
		"head -c 1048577 /dev/zero | tr '\\0' ' '": {fault.Internal, "more than"},
		"kill -9 $$":                               {fault.Passing, "signal 9"},
	} {
		_, _, err := announce(t, "#!/bin/sh\n"+config+"\n")
		if fault.ClassOf(err) != want.class || err == nil || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: %v", config, err)
		}
	}
	_, _, err := announce(t, "#!/bin/sh\nexit 7\n")
	var code *executor.StageError
	if !errors.As(err, &code) || code.Code != 7 {
		t.Errorf("exit 7 gives %v", err)
	}
}

func TestThePlanIsWhatTheConfigurationSays(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	path := newJob(t).program("#!/bin/sh\n")
	job := executor.Job{
		LeaseID: "the lease id", StateDir: "/the/state", PassEnv: []string{"AWS_PROFILE", "LANG"},
		Values: values{inject: InjectBoth, lists: map[string][]string{keyRun: {path, "run"}, keyCleanup: {path, "cleanup"}}},
	}
	raw, err := Base{}.Plan(t.Context(), job)
	if err != nil {
		t.Fatalf("%s %v", raw, err)
	}
	e, err := Base{}.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	want := Plan{Run: []string{path, "run"}, Cleanup: []string{path, "cleanup"}, Inject: InjectBoth, PassAWS: []string{"AWS_PROFILE"}, Mark: mark(job.LeaseID), State: "/the/state", Lease: job.LeaseID}
	if got := e.(*Executor).plan; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if lost, err := (Base{}).Lost(job); err != nil || !reflect.DeepEqual(lost.(*Executor).plan, want) {
		t.Errorf("%+v %v", lost, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Base{}).Plan(t.Context(), job); fault.ClassOf(err) != fault.Permanent || !strings.Contains(err.Error(), keyRun) {
		t.Errorf("a program that cannot be run: %v", err)
	}
	for _, bad := range []string{"", "{}", `{"run":["/x"],"mark":"m","inject":"newer"}`, `{"mark":"m","inject":"env"}`} {
		if _, err := (Base{}).Open([]byte(bad)); fault.ClassOf(err) != fault.Internal || err == nil {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
