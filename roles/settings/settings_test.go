package settings

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"envrole/executor/shell"
	"envrole/roles"
)

func parsed(t *testing.T, text string) *Settings {
	t.Helper()
	s, err := Parse("f", []byte(text), testBases())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantShell compares the shell base's table, and takes the tables out of s.
func wantShell(t *testing.T, s *Settings, want shell.Settings) {
	t.Helper()
	if got := shell.ReadSettings(s.Executor.Table()); !reflect.DeepEqual(got, want) {
		t.Errorf("[executor.shell]:\n%+v\nwant:\n%+v", got, want)
	}
	s.Executor.Tables = nil
}

func TestSmallestFileGetsEveryDefault(t *testing.T) {
	got := parsed(t, good)
	wantShell(t, got, shell.Settings{Shell: "bash", User: "ci-job", Metadata: "refuse", Grace: 10 * time.Second, HomesDir: "/var/lib/envrole-homes", Isolation: "none"})
	want := &Settings{
		File:   "f",
		GitLab: GitLab{URL: "https://gitlab.example.com", Proof: "api", Timeout: 20 * time.Second, Audience: "envrole", JWKSMaxAge: time.Hour, JWKSStale: 24 * time.Hour},
		Policy: Policy{Timeout: 10 * time.Second},
		AWS:    AWS{Region: "eu-central-1", Timeout: 40 * time.Second},
		State:  State{Dir: "/var/lib/envrole"}, Session: Session{Enabled: true},
		Revocation: Revocation{
			Identity: "role", RoleARN: "arn:{partition}:iam::{account}:role/envrole-revoker", Timeout: time.Minute,
		},
		Executor: Executor{Base: "shell"},
		Rules: []roles.Rule{{
			Name: "deploys", Line: 7,
			Environments: []roles.Pattern{"production"}, Projects: []roles.Pattern{"acme/shop/web"}, Proof: roles.GitLabAPI,
			Grant: roles.Grant{
				RoleARN: "arn:aws:iam::111122223333:role/deploy", Region: "eu-central-1", Duration: time.Hour,
				Revoke: "policy", SessionTags: "required", Shadowing: "fail", Delivery: "env",
			},
		}},
		digest: fmt.Sprintf("%x", sha256.Sum256([]byte(good))),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Parse:\n%+v\nwant:\n%+v", got, want)
	}
	if got.Digest() != want.digest {
		t.Errorf("Digest = %s, want %s", got.Digest(), want.digest)
	}
}

func TestEveryKeyReachesTheSettings(t *testing.T) {
	got := parsed(t, `
[gitlab]
url = "http://127.0.0.1:8080/git/"
proof = "api"
ca_file = "/etc/ca.pem"
legacy_ref_protected = true
timeout = "3s"
audience = "ours"
jwks_max_age = "2m"
jwks_stale = "3m"
[policy]
command = ["/p", "-x"]
sha256 = "4355A46B19D348DC2F57C046F8EF63D4538EBB936000F3C9EE954A27460DD865"
timeout = "7s"
[aws]
region = "us-gov-west-1"
timeout = "4s"
[state]
dir = "/srv/envrole//state/"
[session]
enabled = false
duration = "2h"
revoke = "local"
session_tags = "best-effort"
shadowing = "warn"
delivery = "endpoint"
[revocation]
role_arn = "arn:aws:iam::111122223333:role/ops/revoker"
external_id = "x/1"
timeout = "5s"
[executor]
base = "shell"
pass_env = ["HTTPS_PROXY", "PATH"]
[executor.shell]
shell = "sh"
same_user = "trusted"
metadata = "allow"
builds_dir = "/b"
cache_dir = "/c"
grace = "6s"
homes_dir = "/h/"
isolation = "none"
[[role]]
name = "a"
environments = ["e*"]
projects = ["g/p"]
project_ids = [7]
tiers = ["production"]
refs = ["main"]
tag_refs = ["v*"]
ref_protected = false
merge_requests = true
jobs = ["j"]
actions = ["start"]
sources = ["push"]
users = ["u"]
proof = "id_token"
environment_protected = true
user_access_levels = ["owner"]
ci_config = ["g/p//f@refs/heads/main"]
require_role = true
sub_stages = ["get_sources"]
role_arn = "arn:aws:iam::111122223333:role/r"
region = "eu-west-1"
external_id = "id"
source_identity = "session"
policy = '''
{ "Version": "2012-10-17",
  "Statement": [] }'''
policy_arns = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
transitive_tags = ["team"]
chain = ["arn:aws:iam::111122223333:role/hub"]
duration = "30m"
revoke = "policy"
session_tags = "required"
shadowing = "fail"
delivery = "profile"
tags.team = "shop"
[[role]]
name = "b"
environments = ["e"]
project_ids = [8]
role_arn = "arn:aws:iam::111122223333:role/r"
`)
	grant := roles.Grant{
		RoleARN: "arn:aws:iam::111122223333:role/r", Region: "eu-west-1", ExternalID: "id", SourceIdentity: "session",
		Policy:     "{ \"Version\": \"2012-10-17\",\n  \"Statement\": [] }",
		PolicyARNs: []string{"arn:aws:iam::aws:policy/ReadOnlyAccess"},
		Tags:       map[string]string{"team": "shop"}, TransitiveTags: []string{"team"},
		Chain:    []string{"arn:aws:iam::111122223333:role/hub"},
		Duration: 30 * time.Minute, Revoke: "policy", SessionTags: "required", Shadowing: "fail", Delivery: "profile",
	}
	wantShell(t, got, shell.Settings{Shell: "sh", SameUser: "trusted", Metadata: "allow", BuildsDir: "/b", CacheDir: "/c", Grace: 6 * time.Second, HomesDir: "/h", Isolation: "none"})
	want := Settings{
		File: "f",
		GitLab: GitLab{
			URL: "http://127.0.0.1:8080/git", Proof: "api", CAFile: "/etc/ca.pem", LegacyRefProtected: true, Timeout: 3 * time.Second,
			Audience: "ours", JWKSMaxAge: 2 * time.Minute, JWKSStale: 3 * time.Minute,
		},
		Policy: Policy{Command: []string{"/p", "-x"}, SHA256: "4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865", Timeout: 7 * time.Second},
		AWS:    AWS{Region: "us-gov-west-1", Timeout: 4 * time.Second},
		State:  State{Dir: "/srv/envrole/state"},
		Revocation: Revocation{
			Identity: "role", RoleARN: "arn:aws:iam::111122223333:role/ops/revoker", ExternalID: "x/1", Timeout: 5 * time.Second,
		},
		Executor: Executor{
			Base: "shell", PassEnv: []string{"HTTPS_PROXY", "PATH"},
		},
		Rules: []roles.Rule{
			{
				Name: "a", Line: 43, Environments: []roles.Pattern{"e*"}, Projects: []roles.Pattern{"g/p"}, ProjectIDs: []int64{7},
				Tiers: []roles.Pattern{"production"}, Refs: []roles.Pattern{"main"}, TagRefs: []roles.Pattern{"v*"},
				Jobs: []roles.Pattern{"j"}, Actions: []roles.Pattern{"start"}, Sources: []roles.Pattern{"push"}, Users: []roles.Pattern{"u"},
				Proof: roles.IDToken, EnvironmentProtected: true, UserAccessLevels: []roles.Pattern{"owner"}, CIConfig: []roles.Pattern{"g/p//f@refs/heads/main"},
				AnyRef: true, MergeRequests: true, RequireRole: true, SubStages: []string{"get_sources"}, Grant: grant,
			},
			{
				Name: "b", Line: 79, Environments: []roles.Pattern{"e"}, ProjectIDs: []int64{8}, Proof: roles.GitLabAPI,
				Grant: roles.Grant{
					RoleARN: "arn:aws:iam::111122223333:role/r", Region: "us-gov-west-1", Duration: 2 * time.Hour,
					Revoke: "local", SessionTags: "best-effort", Shadowing: "warn", Delivery: "endpoint",
				},
			},
		},
	}
	for i := range want.Rules {
		if !reflect.DeepEqual(got.Rules[i], want.Rules[i]) {
			t.Errorf("rule %d:\n%+v\nwant:\n%+v", i, got.Rules[i], want.Rules[i])
		}
	}
	got.Warnings, got.digest, got.Rules, want.Rules = nil, "", nil, nil
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("Parse:\n%+v\nwant:\n%+v", *got, want)
	}
}

func TestRunnerIdentityHasNoRole(t *testing.T) {
	s := parsed(t, good+"[revocation]\nidentity = 'runner'\n")
	if s.Revocation.RoleARN != "" || s.Revocation.Identity != IdentityRunner {
		t.Errorf("revocation: %+v", s.Revocation)
	}
}

func TestLegalButDoubtfulSettingsWarn(t *testing.T) {
	other := strings.NewReplacer("deploys", "b", "acme/shop/web", "a/b", "1111", "9999").Replace(rule)
	for name, c := range map[string]struct {
		text string
		want []string // prefixes
	}{
		"nothing":             {good, nil},
		"no rules":            {head, []string{"f: there is no [[role]] table"}},
		"unverified":          {with("url", "url = 'https://g.example'\nproof = 'unverified'"), []string{"f:3: gitlab.proof: the environment is the payload's own claim: everybody who can push"}},
		"legacy":              {with("url", "url = 'https://g.example'\nlegacy_ref_protected = true"), []string{"f:3: gitlab.legacy_ref_protected: "}},
		"same user":           {with("user", "same_user = 'trusted'"), []string{"f:6: executor.shell.same_user: jobs run as the runner's own user"}},
		"neither user":        {with("user", ""), []string{"f:5: executor.shell.user: neither user nor same_user"}},
		"metadata":            {with("user", "user = 'ci'\nmetadata = 'allow'"), []string{"f:7: executor.shell.metadata: "}},
		"secret passed":       {good + "[executor]\npass_env = [\n'NPM_TOKEN']", []string{"f:14: executor.pass_env: NPM_TOKEN looks like a secret"}},
		"off":                 {good + "[session]\nenabled = false\nrevoke = 'local'\n", []string{"f:13: session.enabled: the kill switch is on"}},
		"local":               {good + "[session]\nrevoke = 'local'\n", []string{"f:13: session.revoke: sessions are not revoked"}},
		"local by a rule":     {good + "revoke = 'local'\n", []string{"f:12: role.revoke: sessions of this rule are not revoked"}},
		"long":                {good + "[session]\nduration = '61m'\n", []string{"f:13: session.duration: over 1h"}},
		"long by a rule":      {good + "duration = '2h'\n", []string{"f:12: role.duration: over 1h"}},
		"long with a chain":   {good + "duration = '2h'\nchain = ['arn:aws:iam::111122223333:role/hub']\n", []string{"f:12: role.duration: AWS ends chained sessions"}},
		"what Review says":    {good + strings.Replace(rule, "deploys", "never", 1), []string{`f:12: role: the rule never matches: every job that it would match is matched by rule "deploys" (line 7) before it (rule "never")`}},
		"what Check says":     {good + "sources = ['teapot']\n", []string{`f:12: role.sources: "teapot" is no pipeline source`}},
		"two accounts":        {good + other + "[revocation]\nidentity = 'runner'\n", []string{"f:18: revocation.identity: rules lend roles of several accounts"}},
		"revoker elsewhere":   {good + other + "[revocation]\nrole_arn = 'arn:aws:iam::111122223333:role/r'\n", []string{"f:16: role.role_arn: the role is in account 999922223333, the revoker in 111122223333"}},
		"in order of lines":   {strings.Replace(good, "user =", "metadata = 'allow'\nuser =", 1) + "revoke = 'local'\n", []string{"f:6: ", "f:13: "}},
		"a bad file has none": {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := Parse("f", []byte(c.text), testBases())
			if s == nil {
				s = &Settings{}
			}
			if ok := slices.EqualFunc(s.Warnings, c.want, func(p Problem, want string) bool { return strings.HasPrefix(p.String(), want) }); !ok {
				t.Errorf("warnings:\n%s\nwant:\n%s", Problems(s.Warnings), strings.Join(c.want, "\n"))
			}
			if (s.File == "") != (name == "a bad file has none") {
				t.Error("the file was not taken as expected")
			}
		})
	}
}

func TestURLIsHTTPSOrLoopback(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://gitlab.example.com": true, "https://gitlab.example.com:8443/git/lab/": true, "https://[2001:db8::1]": true,
		"http://localhost:3000": true, "http://127.0.0.1": true, "http://127.8.9.1:1": true, "http://[::1]:80": true,
		"http://gitlab.internal": false, "http://10.0.0.1": false, "http://127.0.0.1.nip.example": false, "http://localhost.example": false,
		"http://0.0.0.0": false, "HTTP://gitlab.example.com": false, "https://": false, "https:///x": false, "//host": false,
		"https://g.example#x": false, "https://g.example?": false, "https:g.example": false, "https://g.example:port": false,
	} {
		if msg := checkURL(url); (msg == "") != ok {
			t.Errorf("checkURL(%q) = %q", url, msg)
		}
	}
}

func TestRegionForm(t *testing.T) {
	for region, ok := range map[string]bool{
		"eu-central-1": true, "us-gov-west-1": true, "us-isob-east-1": true, "eusc-de-east-1": true, "ap-southeast-10": true, "cn-north-1": true,
		"eu-central": false, "eu": false, "1": false, "eu-central-1a": false, "EU-central-1": false, "eu--central-1": false, "eu-central-1\n": false,
		"eu-central-": false, "-central-1": false, "eu/../x-1": false, "eu-central-100": false,
	} {
		if msg := checkRegion(region); (msg == "") != ok {
			t.Errorf("checkRegion(%q) = %q", region, msg)
		}
	}
}

func TestVariablesThatLeakOrSubvertAreNotPassed(t *testing.T) {
	for _, name := range []string{
		"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_CA_BUNDLE", "CUSTOM_ENV_CI_JOB_TOKEN", "ENVROLE_KEY", "JOB_RESPONSE_FILE",
		"BUILD_FAILURE_EXIT_CODE", "BUILD_EXIT_CODE_FILE", "SYSTEM_FAILURE_EXIT_CODE", "MY_EXIT_CODE_X", "CI_SERVER_TOKEN",
		"RUNNER_TOKEN", "TERM", "BASH_XTRACEFD", "SSH_AUTH_SOCK", "LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "BASH_FUNC_ls", "SHELLOPTS",
		"PS4", "IFS", "HOME", "TMPDIR", "USER", "SHELL", "A B", "A=B", "1A", "AWS*", "*", "Ä",
	} {
		if checkPassEnv(name) == "" {
			t.Errorf("%s would be passed", name)
		}
	}
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "NO_PROXY", "PATH", "LANG", "SSL_CERT_FILE", "JAVA_HOME", "_X1"} {
		if msg := checkPassEnv(name); msg != "" {
			t.Errorf("%s is refused: %s", name, msg)
		}
	}
}
