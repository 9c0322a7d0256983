package shell

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// seen runs env -0 as a job and returns what it sees, less what bash itself sets.
func seen(t *testing.T, p Plan, env ...string) map[string]string {
	t.Helper()
	out, err := run(t, p, "env -0", env...)
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{}
	for _, kv := range strings.Split(strings.TrimSuffix(out, "\x00"), "\x00") {
		k, v, _ := strings.Cut(kv, "=")
		if !slices.Contains([]string{"_", "SHLVL", "PWD", "OLDPWD"}, k) {
			vars[k] = v
		}
	}
	return vars
}

func TestAJobsEnvironmentIsExactlyTheAllowedOne(t *testing.T) {
	bothPlans(t, func(t *testing.T, p Plan) {
		tmp := t.TempDir()
		for k, v := range map[string]string{
			"PATH": "relative:/opt/runner/bin::/usr/bin:.:/usr/bin", "TMPDIR": tmp, "LANG": "C.UTF-8", "LC_TIME": "C", "TERM": "xterm",
			"HOME": "/root", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/false",
			"HTTPS_PROXY": "http://127.0.0.1:3128", "NOT_PASSED": "x",
			"AWS_ACCESS_KEY_ID": "AKIARUNNER", "AWS_SECRET_ACCESS_KEY": "runner", "AWS_SESSION_TOKEN": "runner", "AWS_PROFILE": "runner",
			"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/", "AWS_CONTAINER_AUTHORIZATION_TOKEN": "runner",
			"AWS_WEB_IDENTITY_TOKEN_FILE": "/runner", "AWS_CONFIG_FILE": "/runner", "AWS_REGION": "runner",
			"CUSTOM_ENV_SECRET": "x", "CUSTOM_ENV_BASH_ENV": "/tmp/evil", "CUSTOM_ENV_HTTPS_PROXY": "http://evil", "ENVROLE_KEY": "x", "ENVROLE_LEASE": "x", "ENVROLE_JOB": "x",
			"BUILD_FAILURE_EXIT_CODE": "1", "SYSTEM_FAILURE_EXIT_CODE": "2", "BUILD_EXIT_CODE_FILE": "/x", "JOB_RESPONSE_FILE": "/x",
			"BASH_ENV": "/tmp/evil", "ENV": "/tmp/evil", "LD_LIBRARY_PATH": "/tmp/evil", "BASH_FUNC_ls%%": "() { echo evil; }", "PS4": "evil", "IFS": "x",
		} {
			t.Setenv(k, v)
		}
		// A plan of a laxer version must not let them through either.
		p.PassEnv = []string{"HTTPS_PROXY", "UNSET_BY_ADMIN", "AWS_SECRET_ACCESS_KEY", "JOB_RESPONSE_FILE", "BASH_ENV", "CUSTOM_ENV_SECRET", "ENVROLE_KEY"}
		want := map[string]string{
			"PATH": "/opt/runner/bin:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/bin",
			"HOME": p.Home, "USER": p.User, "LOGNAME": p.User, "SHELL": p.Shell, "TMPDIR": tmp, "TERM": "xterm",
			"LANG": "C.UTF-8", "LC_TIME": "C", "HTTPS_PROXY": "http://127.0.0.1:3128", "ENVROLE_JOB": p.marker(), "AWS_EC2_METADATA_DISABLED": "true",
			"AWS_ACCESS_KEY_ID": "ASIASESSION", "X": "last", "MULTI": "a\nb=c",
		}
		if p.SwitchUser {
			want["TMPDIR"] = p.TmpDir
		}
		got := seen(t, p, "AWS_ACCESS_KEY_ID=ASIASESSION", "X=first", "X=last", "MULTI=a\nb=c")
		if !maps.Equal(got, want) {
			t.Errorf("the job sees\n%q\nwant\n%q", got, want)
		}
	})
}

func TestTheLeaseIDIsNotShown(t *testing.T) {
	p := newPlan(t)
	p.LeaseID = "lease-7f3a"
	for k, v := range seen(t, p) {
		if strings.Contains(v, p.LeaseID) {
			t.Errorf("%s=%s", k, v)
		}
	}
}

func TestNamesThatPassEnvRefuses(t *testing.T) {
	for _, name := range []string{
		"", "A=B", "A B", "1A", "AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "CUSTOM_ENV_X", "ENVROLE_X",
		"BUILD_EXIT_CODE_FILE", "JOB_RESPONSE_FILE", "LD_PRELOAD", "BASH_ENV", "BASH_FUNC_x%%", "ENV", "SHELLOPTS", "TMPDIR", "PATH",
	} {
		if refusedName(name) == "" {
			t.Errorf("%q is let through", name)
		}
	}
	for _, name := range []string{"HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS", "ENVIRONMENT"} {
		if why := refusedName(name); why != "" {
			t.Errorf("%q is refused: %s", name, why)
		}
	}
}

// The configuration accepts PATH, and so must the base: what it then does is
// what it does anyway.
func TestPathInPassEnvIsTheRunnersPath(t *testing.T) {
	t.Setenv("PATH", "/opt/runner/bin:relative:/usr/bin")
	p, err := NewPlan(Options{PassEnv: []string{"PATH"}, ProjectID: 1, LeaseID: "lease"})
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range p.environ(os.Environ(), nil) {
		if strings.HasPrefix(kv, "PATH=") && kv != "PATH="+searchPath("/opt/runner/bin:/usr/bin") {
			t.Error(kv)
		}
	}
}
