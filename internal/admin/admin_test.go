package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"envrole/roles/lease"
)

const good = `[gitlab]
url = "https://gitlab.example.com"
[aws]
region = "eu-central-1"
[executor.shell]
user = "ci-job"
[[role]]
name = "production deploys"
environments = ["production"]
projects = ["acme/shop/web"]
role_arn = "arn:aws:iam::111122223333:role/deploy"
[[role]]
name = "reviews"
environments = ["review/*"]
projects = ["acme/shop/web"]
require_role = true
role_arn = "arn:aws:iam::111122223333:role/review-{environment_slug}"
`

// call runs the command and gives its output and exit code.
func call(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Main(args, &out, &errs)
	return out.String(), errs.String(), code
}

// write makes a configuration file whose state directory is the test's own.
func write(t *testing.T, text string) (file, state string) {
	t.Helper()
	dir := t.TempDir()
	state = filepath.Join(dir, "state")
	file = filepath.Join(dir, "config.toml")
	if err := os.WriteFile(file, []byte(text+"[state]\ndir = \""+state+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, state
}

func TestCheckSaysAllThatIsWrong(t *testing.T) {
	file, _ := write(t, strings.Replace(strings.Replace(good, "https:", "http:", 1), "region", "regio", 1))
	out, _, code := call(t, "check", "--config", file)
	if code != exitFinding || !strings.Contains(out, file+":2: gitlab.url:") || !strings.Contains(out, file+":4: aws.regio:") {
		t.Errorf("%d\n%s", code, out)
	}
}

// What the base finds on this host counts as what stands in the file does.
func TestCheckLooksAtTheAccountsOfJobs(t *testing.T) {
	file, _ := write(t, strings.Replace(good, `user = "ci-job"`, `users = ["no-such-user-here"]`, 1))
	out, _, code := call(t, "check", "--config", file)
	if code != exitOK || !strings.Contains(out, "warning: "+file+": executor.shell.users: on this host: use job user \"no-such-user-here\"") {
		t.Errorf("%d\n%s", code, out)
	}
	f := &found{file: file, table: "executor.shell."}
	f.Problem("users", "it is not good")
	if len(f.problems) != 1 || f.problems[0].String() != file+": executor.shell.users: it is not good" {
		t.Errorf("%v", f.problems)
	}
}

func TestCheckIsContentWithAGoodFile(t *testing.T) {
	file, _ := write(t, good)
	out, _, code := call(t, "check", "--config", file)
	if code != exitOK || !strings.Contains(out, "usable; rules: 2") {
		t.Errorf("%d\n%s", code, out)
	}
	unsafe, _ := write(t, strings.Replace(good, `user = "ci-job"`, `same_user = "trusted"`, 1))
	out, _, code = call(t, "check", "--config", unsafe)
	if code != exitOK || !strings.Contains(out, "warning: "+unsafe) {
		t.Errorf("warnings alone: %d\n%s", code, out)
	}
	if _, _, code = call(t, "check", "--strict", "--config", unsafe); code != exitFinding {
		t.Errorf("--strict with warnings: %d", code)
	}
	out, _, _ = call(t, "check", "--json", "--config", unsafe)
	var res checkResult
	if err := json.Unmarshal([]byte(out), &res); err != nil || !res.Usable || res.Rules != 2 || len(res.Warnings) == 0 {
		t.Errorf("--json: %v %+v", err, res)
	}
}

// A reader of the JSON goes through lists, whatever is wrong with the file.
func TestCheckPrintsListsAlsoOfAFileThatIsNone(t *testing.T) {
	out, _, code := call(t, "check", "--json", "--config", filepath.Join(t.TempDir(), "none"))
	if code != exitFinding || !strings.Contains(out, `"warnings": []`) || strings.Contains(out, "null") {
		t.Errorf("%d\n%s", code, out)
	}
}

func TestExplainByFlags(t *testing.T) {
	file, _ := write(t, good)
	for _, tc := range []struct {
		args    string
		code    int
		outcome string
		role    string
		why     string
	}{
		{"--project acme/shop/web --environment production --ref main --protected", exitOK, "lend", "arn:aws:iam::111122223333:role/deploy", ""},
		{"--project acme/shop/web --environment production --ref feature", exitOK, "no role", "", "not protected"},
		{"--project acme/other --environment production --ref main --protected", exitOK, "no role", "", "no rule"},
		{"--project acme/shop/web --ref main --protected", exitOK, "no role", "", "no environment"},
		{"--project acme/shop/web --environment review/x --ref main --protected", exitOK, "lend", "arn:aws:iam::111122223333:role/review-review-x-n5c54v", ""},
		{"--project acme/shop/web --environment review/x --ref feature", exitFinding, "refuse", "", "requires its role"},
	} {
		out, errs, code := call(t, append([]string{"explain", "--config", file, "--json"}, strings.Fields(tc.args)...)...)
		var got struct {
			Outcome string `json:"outcome"`
			RoleARN string `json:"role_arn"`
			Why     string `json:"why"`
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatalf("%s: %v\n%s%s", tc.args, err, out, errs)
		}
		if code != tc.code || got.Outcome != tc.outcome || got.RoleARN != tc.role || !strings.Contains(got.Why, tc.why) {
			t.Errorf("%s: code %d, %+v", tc.args, code, got)
		}
	}
}

func TestExplainAPayload(t *testing.T) {
	file, _ := write(t, strings.Replace(good, "acme/shop/web", "acme/platform/shop", 1))
	data := filepath.Join("..", "..", "executor", "job", "testdata")
	out, _, code := call(t, "explain", "--config", file, "--job", filepath.Join(data, "honest_production.json"))
	if code != exitOK || !strings.HasPrefix(out, "lend") || !strings.Contains(out, "only claimed here") || !strings.Contains(out, "unverified claim") {
		t.Errorf("honest: %d\n%s", code, out)
	}
	if strings.Contains(out, "glcbt-") {
		t.Error("explain shows the job's token")
	}
	if out, _, code = call(t, "explain", "--config", file, "--job", filepath.Join(data, "no-such-file.json")); code != exitFailure {
		t.Errorf("no file: %d\n%s", code, out)
	}
	// A job that its lint would refuse is a refusal, not a failed command.
	b, err := os.ReadFile(filepath.Join(data, "honest_production.json"))
	if err != nil {
		t.Fatal(err)
	}
	forged := filepath.Join(t.TempDir(), "forged.json")
	text := strings.Replace(string(b), `"variables":`, `"variables": [{"key":"CI_ENVIRONMENT_NAME","value":"staging","public":true}], "was":`, 1)
	text = strings.Replace(text, `}], "was": [`, `},`, 1)
	if err := os.WriteFile(forged, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := call(t, "explain", "--config", file, "--job", forged); code != exitFinding || !strings.Contains(errs, "CI_ENVIRONMENT_NAME") {
		t.Errorf("refused by the lint: %d\n%s", code, errs)
	}
}

func TestCommandLinesThatAreWrong(t *testing.T) {
	file, _ := write(t, good)
	for _, args := range [][]string{
		{},
		{"frobnicate"},
		{"check", "--nope"},
		{"check", "surplus"},
		{"explain", "--config", file},
		{"revoke", "--config", file},
	} {
		if _, errs, code := call(t, args...); code != exitUsage || errs == "" {
			t.Errorf("%q: code %d, %q", args, code, errs)
		}
	}
	for _, args := range [][]string{{"--help"}, {"version"}, {"check", "--help"}} {
		if _, _, code := call(t, args...); code != exitOK {
			t.Errorf("%q: code %d", args, code)
		}
	}
}

func TestLeasesAndTheRedButton(t *testing.T) {
	file, state := write(t, good+"revoke = \"local\"\n")
	ledger, err := lease.Open(state)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i, rule := range []string{"production deploys", "reviews"} {
		id, err := lease.NewID()
		if err != nil {
			t.Fatal(err)
		}
		if err := ledger.Create(context.Background(), lease.Lease{
			ID: id, State: lease.Asked, JobID: int64(100 + i), Project: "acme/shop/web\x1b[31m", Environment: "production\nlent\t7", Rule: rule,
			RoleARN: "arn:aws:iam::111122223333:role/deploy", SessionName: "gl-100-abcdefghijklm", Revoke: "local",
			AskedAt: now, ExpiresAt: now.Add(time.Hour), Deadline: now.Add(time.Hour),
		}); err != nil {
			t.Fatal(err)
		}
	}
	out, _, code := call(t, "leases", "--config", file)
	if code != exitOK || strings.Count(out, "asked") != 2 || strings.Count(out, "\n") != 3 || strings.Contains(out, "\x1b") {
		t.Errorf("leases: %d %q", code, out)
	}
	out, errs, code := call(t, "revoke", "--config", file, "--rule", "reviews")
	if code != exitFinding || !strings.Contains(out, "job 101") || strings.Contains(out, "job 100") || !strings.Contains(errs, "on this host only") {
		t.Errorf("revoke --rule: %d\n%s%s", code, out, errs)
	}
	if out, errs, code = call(t, "revoke", "--config", file, "--job", "101", "--rule", "production deploys"); strings.Contains(out, "job 10") {
		t.Errorf("flags are joined by and:\n%s", out)
	} else if code != exitFinding || !strings.Contains(errs, "nothing was revoked") {
		t.Errorf("a red button that hits nothing must say so: %d\n%s", code, errs)
	}
	if err := os.WriteFile(filepath.Join(state, "leases", "aaaaaaaaaaaaaaaaaaaaaaaaaa.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _, code = call(t, "leases", "--config", file); code != exitFinding || !strings.Contains(out, "cannot be read") {
		t.Errorf("a damaged record: %d\n%s", code, out)
	}
}
