package job

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"envrole/roles/fault"
)

func TestNewerPayloadIsReadWhole(t *testing.T) {
	p, err := ReadPayload(filepath.Join("testdata", "honest_production.json"))
	if err != nil {
		t.Fatal(err)
	}
	if p.ID != 9876543 || p.Token.Reveal() != "glcbt-66_Fak3J0bT0kenFak3J0b" || p.Timeout != time.Hour {
		t.Errorf("id %d, timeout %s", p.ID, p.Timeout)
	}
	if want := (Info{Name: "deploy-production", ProjectID: 150, PipelineID: 6001, UserID: 42, ProjectFullPath: "acme/platform/shop"}); p.Job != want {
		t.Errorf("job_info %+v", p.Job)
	}
	if p.Git.RepoURL != "https://gitlab.example.com/acme/platform/shop.git" || p.Git.Ref != "main" || p.Git.RefType != "branch" ||
		len(p.Git.Refspecs) != 2 || p.Git.Protected == nil || !*p.Git.Protected {
		t.Errorf("git_info %+v", p.Git)
	}
}

func TestPayloadWrittenByAnOldRunnerLacksOnlyTheNewFields(t *testing.T) {
	p, err := ReadPayload(filepath.Join("testdata", "runner_17.json"))
	if err != nil {
		t.Fatal(err)
	}
	if p.ID != 900100 || p.Job.ProjectID != 4242 || p.Job.PipelineID != 0 || p.Job.UserID != 0 ||
		p.Job.ProjectFullPath != "" || p.Git.Protected != nil || p.Git.RepoURL != "http://127.0.0.1/acme/shop/web.git" {
		t.Errorf("%+v", p)
	}
}

func TestNewRunnerWithOldGitLabSendsZeroesThatMeanUnknown(t *testing.T) {
	p := payload(t, "honest_production.json", func(m map[string]any) {
		for _, k := range []string{"id", "pipeline_id", "user_id"} {
			in(m, "job_info")[k] = 0
		}
		in(m, "job_info")["project_full_path"] = ""
		in(m, "git_info")["protected"] = nil
	})
	if p.Job.PipelineID != 0 || p.Job.UserID != 0 || p.Git.Protected != nil {
		t.Errorf("%+v", p.Job)
	}
}

func TestVariablesThatNobodyReadsAreNotKept(t *testing.T) {
	for _, v := range payload(t, "honest_production.json", nil).Variables {
		if !read(v.Key) {
			t.Errorf("%s is kept", v.Key)
		}
	}
}

func TestPayloadOfAnUnknownShapeIsAPermanentFaultThatNamesTheField(t *testing.T) {
	top := func(key string, v any) func(map[string]any) {
		return func(m map[string]any) { m[key] = v }
	}
	sub := func(object, key string, v any) func(map[string]any) {
		return func(m map[string]any) { in(m, object)[key] = v }
	}
	for want, change := range map[string]func(map[string]any){
		"id: not a positive number":          top("id", -1),
		"id: not an integer":                 top("id", "9876543"),
		"job_info.id: 7, but id is 9876543":  sub("job_info", "id", 7),
		"token: empty":                       top("token", ""),
		"token: not a string":                top("token", 12),
		"job_info: not a JSON object":        top("job_info", []any{}),
		"project_id: missing":                top("job_info", nil),
		"project_id: not a positive number":  sub("job_info", "project_id", 0),
		"project_id: not an integer":         sub("job_info", "project_id", 1.5),
		"pipeline_id: not a positive number": sub("job_info", "pipeline_id", -6001),
		"user_id: not an integer":            sub("job_info", "user_id", true),
		"project_full_path: not a string":    sub("job_info", "project_full_path", []any{"a/b"}),
		"protected: not true or false":       sub("git_info", "protected", "true"),
		"ref: not a string":                  sub("git_info", "ref", map[string]any{}),
		"refspecs: not a string":             sub("git_info", "refspecs", []any{1}),
		"refspecs: not a JSON array":         sub("git_info", "refspecs", "x"),
		"timeout: 9007199254740993 seconds":  sub("runner_info", "timeout", 9007199254740993),
		"variables: not a JSON array":        top("variables", map[string]any{}),
		"variables: not a JSON object":       top("variables", []any{"CI_ENVIRONMENT_NAME"}),
		"value: not a string":                top("variables", []any{map[string]any{"key": "CI_ENVIRONMENT_NAME", "value": 1}}),
	} {
		_, err := ParsePayload(strings.NewReader(edited(t, "honest_production.json", change)))
		if err == nil || !strings.Contains(err.Error(), want) || fault.ClassOf(err) != fault.Permanent {
			t.Errorf("%v (%s), want %s", err, fault.ClassOf(err), want)
		}
	}
}

func TestKeyGivenTwiceIsNotAChoiceBetweenTwo(t *testing.T) {
	whole := edited(t, "honest_production.json", nil)
	for _, text := range []string{
		strings.Replace(whole, `"job_info":`, `"job_info":{"project_id":1},"job_info":`, 1),
		strings.Replace(whole, `"protected":true`, `"protected":false,"protected":true`, 1),
		strings.Replace(whole, `"key":"CI_ENVIRONMENT_NAME"`, `"key":"X","key":"CI_ENVIRONMENT_NAME"`, 1),
	} {
		if text == whole {
			t.Fatal("nothing was replaced")
		}
		if _, err := ParsePayload(strings.NewReader(text)); err == nil {
			t.Error("accepted")
		}
	}
}

func TestKeysOfAnotherCaseAreOtherKeys(t *testing.T) {
	whole := edited(t, "honest_production.json", func(m map[string]any) { delete(in(m, "git_info"), "protected") })
	p, err := ParsePayload(strings.NewReader(strings.Replace(whole, `"git_info":{`, `"git_info":{"Protected":true,`, 1)))
	if err != nil || p.Git.Protected != nil {
		t.Errorf("%v, protected known: %t", err, p.Git.Protected != nil)
	}
}

func TestTokenIsInNoTextOfThePayload(t *testing.T) {
	const token = "glcbt-66_Fak3J0bT0kenFak3J0b"
	p := payload(t, "honest_production.json", func(m map[string]any) {
		in(m, "job_info")["name"] = "deploy " + token
		in(m, "git_info")["ref"] = token
		m["variables"] = []any{
			map[string]any{"key": "CI_ENVIRONMENT_NAME", "value": "prod-" + token},
			map[string]any{"key": "CI_ENVIRONMENT_SLUG", "value": token},
			map[string]any{"key": "CI_PIPELINE_SOURCE", "value": token + token},
		}
	})
	f, err := p.Facts(FactOptions{GitLabURL: "https://gitlab.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprintf("%v %+v %#v", p, p, p), fmt.Sprintf("%+v", f),
		fmt.Sprintf("%+v", p.Claims()), p.Claims().Lint().Error(),
	} {
		if strings.Contains(text, token) {
			t.Errorf("the token is in %s", text)
		}
	}
}

func TestRepositoryURLThatIsNoneKeepsNothing(t *testing.T) {
	for _, raw := range []string{
		"git@gitlab.example.com:a/b.git", "ssh://git:glcbt-66_Fak3J0bT0kenFak3J0b@h/a/b.git", "https://u:glcbt-66_Fak3J0bT0kenFak3J0b@h:port/a/b.git",
		"https://%zz@h/a/b.git", "//u:p@h/a/b.git", "glcbt-66_Fak3J0bT0kenFak3J0b",
	} {
		if got := withoutUserinfo(raw); got != "" {
			t.Errorf("%q became %q", raw, got)
		}
	}
	if got := withoutUserinfo("https://u:p@h:8443/x/a/b.git?t=1#t"); got != "https://h:8443/x/a/b.git" {
		t.Errorf("got %q", got)
	}
}

func TestFileThatCannotBeReadIsAnInternalFault(t *testing.T) {
	_, err := ReadPayload(filepath.Join(t.TempDir(), "none.json"))
	if fault.ClassOf(err) != fault.Internal || err == nil {
		t.Errorf("%v", err)
	}
	if _, err = ReadPayload(""); err == nil {
		t.Error("an empty path was read")
	}
}

func TestPayloadLargerThanTheLimitIsRefused(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "big"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Truncate(MaxPayload + 1); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadPayload(f.Name()); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Errorf("%v", err)
	}
}
