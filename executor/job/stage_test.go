package job

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"envrole/roles/fault"
)

func getenv(m map[string]string) func(string) string { return func(k string) string { return m[k] } }

func TestStageEnvironmentOfARunner(t *testing.T) {
	e, err := ReadStageEnv(getenv(map[string]string{
		"BUILD_FAILURE_EXIT_CODE": "1", "SYSTEM_FAILURE_EXIT_CODE": "2",
		"BUILD_EXIT_CODE_FILE": "/t/build_exit_code", "JOB_RESPONSE_FILE": "/t/response.json", "TMPDIR": "/t",
	}))
	if want := (StageEnv{1, 2, "/t/build_exit_code", "/t/response.json", "/t"}); err != nil || e != want {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestOldRunnerOrLateCleanupSetsLess(t *testing.T) {
	e, err := ReadStageEnv(getenv(map[string]string{"BUILD_FAILURE_EXIT_CODE": "3", "SYSTEM_FAILURE_EXIT_CODE": "4"}))
	if want := (StageEnv{BuildFailure: 3, SystemFailure: 4}); err != nil || e != want {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestStartedOutsideARunner(t *testing.T) {
	for _, m := range []map[string]string{{}, {"BUILD_FAILURE_EXIT_CODE": "1"}, {"SYSTEM_FAILURE_EXIT_CODE": "2"}} {
		_, err := ReadStageEnv(getenv(m))
		if !errors.Is(err, ErrOutsideRunner) || !strings.Contains(fault.HelpOf(err), "[runners.custom]") {
			t.Errorf("%v: %v", m, err)
		}
	}
}

func TestExitCodesMustBeExitCodes(t *testing.T) {
	for _, text := range []string{"0", "256", "-1", "+1", "1.0", "one", " 1", "1\n", "0x1"} {
		_, err := ReadStageEnv(getenv(map[string]string{"BUILD_FAILURE_EXIT_CODE": text, "SYSTEM_FAILURE_EXIT_CODE": "2"}))
		if err == nil || errors.Is(err, ErrOutsideRunner) || !strings.Contains(err.Error(), "BUILD_FAILURE_EXIT_CODE") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestExitCodeIsPlainDigitsAndReplacesTheLast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "build_exit_code")
	for _, code := range []int{1, 42, 255, 7} {
		if err := WriteExitCode(path, code); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != fmt.Sprint(code) {
			t.Errorf("%q, %v", b, err)
		}
	}
	alone(t, path)
	for range 2 {
		if err := ClearExitCode(path); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Error("still there")
	}
}

func TestExitCodeFileOfAnOldRunnerIsNothingToDo(t *testing.T) {
	if err := errors.Join(WriteExitCode("", 3), ClearExitCode("")); err != nil {
		t.Error(err)
	}
}

func TestCodeThatIsNoFailureIsNotWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "build_exit_code")
	for _, code := range []int{0, -1, 256} {
		if WriteExitCode(path, code) == nil {
			t.Errorf("%d was written", code)
		}
	}
}

// A job under the runner's own user can put anything where the runner will look.
func TestLinkInThePlaceOfTheFileIsReplacedNotFollowed(t *testing.T) {
	dir := t.TempDir()
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "build_exit_code")
	if err := os.Symlink(victim, path); err != nil {
		t.Fatal(err)
	}
	if err := WriteExitCode(path, 9); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(victim); string(b) != "precious" {
		t.Errorf("the link was followed: %q", b)
	}
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		t.Errorf("%v, %v", info, err)
	}
	alone(t, path)
}

// Without file descriptors nothing can be written, but a name can be removed.
func TestFailureToWriteLeavesNoOlderCode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "build_exit_code")
	if err := WriteExitCode(path, 3); err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	err := WriteExitCode(path, 4)
	if restored := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); restored != nil {
		t.Fatal(restored)
	}
	if err == nil {
		t.Error("the failure went unnoticed")
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Error("the runner would find the code of an earlier sub-stage")
	}
}

func TestWhatCannotBeReplacedIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "build_exit_code")
	if err := os.MkdirAll(filepath.Join(path, "in", "the", "way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if WriteExitCode(path, 9) == nil {
		t.Error("a directory in the way went unnoticed")
	}
	if WriteExitCode(filepath.Join(t.TempDir(), "gone", "build_exit_code"), 9) == nil {
		t.Error("a missing directory went unnoticed")
	}
}

func alone(t *testing.T, path string) {
	t.Helper()
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestVariablesThatWouldHideTheSessionAreNamedWithoutValues(t *testing.T) {
	got := Shadowing([]string{
		"AWS_ACCESS_KEY_ID=the runner's own", "CUSTOM_ENV_AWS_SECRET_ACCESS_KEY=hidden=value", "CUSTOM_ENV_AWS_PROFILE=",
		"CUSTOM_ENV_AWS_CONTAINER_CREDENTIALS_FULL_URI=http://x", "CUSTOM_ENV_AWS_CONTAINER_ANYTHING_NEW=1", "CUSTOM_ENV_AWS_PROFILE=again",
		"CUSTOM_ENV_AWS_REGION=eu-west-1", "CUSTOM_ENV_AWS_DEFAULT_REGION=eu-west-1", "CUSTOM_ENV_aws_profile=x", "CUSTOM_ENV_MY_AWS_PROFILE=x",
		"CUSTOM_ENV_CUSTOM_ENV_AWS_PROFILE=x", "CUSTOM_ENV_AWS_SECURITY_TOKEN=x", "", "CUSTOM_ENV_", "CUSTOM_ENV_AWS_ROLE_ARN",
	})
	want := []string{
		"AWS_CONTAINER_ANYTHING_NEW", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_PROFILE", "AWS_ROLE_ARN",
		"AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestNameOfAShadowingVariableCannotForgeALogLine(t *testing.T) {
	forged := "AWS_CONTAINER_X\nenvrole: environment \"production\", proven by GitLab (API)\x1b[2K"
	got := Shadowing([]string{"CUSTOM_ENV_" + forged + "=1"})
	if want := []string{Quote(forged)}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestEveryVariableOfTheContractShadows(t *testing.T) {
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	} {
		if got := Shadowing([]string{"CUSTOM_ENV_" + name + "=x"}); !slices.Equal(got, []string{name}) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// For each delivery: what other sources of credentials tools look at before, or
// beside, those that it sets.
func TestNoDeliveryCanBeHidden(t *testing.T) {
	for delivery, names := range map[string][]string{
		"env":      {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CREDENTIAL_EXPIRATION"},
		"endpoint": {"AWS_ACCESS_KEY_ID", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"},
		"profile":  {"AWS_ACCESS_KEY_ID", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"},
	} {
		for _, name := range names {
			if len(Shadowing([]string{"CUSTOM_ENV_" + name + "=x"})) != 1 {
				t.Errorf("%s: %s would hide it", delivery, name)
			}
		}
	}
}
