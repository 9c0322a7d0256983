package sitepolicy

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"envrole/roles"
	"envrole/roles/fault"
	"envrole/roles/settings"
)

// program writes a program and gives the table that pins it.
func program(t *testing.T, text string) settings.Policy {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return settings.Policy{Command: []string{path, "an argument"}, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(text))), Timeout: 20 * time.Second}
}

func decision() (roles.Decision, roles.Facts) {
	f := roles.Facts{
		JobID: 7, ProjectID: 150, JobURL: "https://gitlab.example.com/acme/shop/-/jobs/7",
		Environment: roles.Fact{Value: "production", From: roles.IDToken},
		JobName:     roles.Fact{Value: strings.Repeat("long ", 1000) + "\x1b[31m", From: roles.Author},
	}
	return roles.Decision{
		Outcome: roles.Lend, Rule: &roles.Rule{Name: "deploys", Line: 12},
		Grant: roles.Grant{RoleARN: "arn:aws:iam::111122223333:role/deploy", Region: "eu-central-1", ExternalID: "the-external-id", Policy: "{}", Duration: time.Hour},
	}, f
}

func ask(t *testing.T, conf settings.Policy) (Answer, error) {
	t.Helper()
	d, f := decision()
	return Ask(t.Context(), conf, d, f)
}

func TestOnlyAPlainAllowIsOne(t *testing.T) {
	sh := func(body string) string { return "#!/bin/sh\n" + body + "\n" }
	for _, c := range []struct {
		name, text string
		class      fault.Class // Internal here stands for "allowed"
		says       string
	}{
		{"allow", sh(`echo '{"allow":true}'`), fault.Internal, ""},
		{"allow with a message", sh(`printf '{"allow": true, "message": "fine"}'`), fault.Internal, ""},
		{"allow without reading", sh(`exec 0<&-; echo '{"allow":true}'`), fault.Internal, ""},
		{"deny", sh(`echo '{"allow":false,"message":"not on a Friday"}'`), fault.Refused, "not on a Friday"},
		{"deny without a message", sh(`echo '{"allow":false}'`), fault.Refused, "is denied"},
		{"nothing", sh(`:`), fault.Permanent, "not understood"},
		{"two answers", sh(`echo '{"allow":true}{"allow":false}'`), fault.Permanent, "not understood"},
		{"allow twice", sh(`echo '{"allow":false,"allow":true}'`), fault.Permanent, "twice"},
		{"allow in capitals", sh(`echo '{"Allow":true}'`), fault.Permanent, "other keys"},
		{"allow as text", sh(`echo '{"allow":"true"}'`), fault.Permanent, "allow"},
		{"allow as number", sh(`echo '{"allow":1}'`), fault.Permanent, "allow"},
		{"null", sh(`echo null`), fault.Permanent, "not understood"},
		{"true", sh(`echo true`), fault.Permanent, "not understood"},
		{"another key", sh(`echo '{"allow":true,"deny":true}'`), fault.Permanent, "other keys"},
		{"message as list", sh(`echo '{"allow":true,"message":[]}'`), fault.Permanent, "message"},
		{"allow, but fails", sh(`echo '{"allow":true}'; exit 3`), fault.Permanent, "exit status 3"},
		{"allow, but dies", sh(`echo '{"allow":true}'; kill -9 $$`), fault.Permanent, "killed"},
		{"too much", sh(`while :; do echo '{"allow":true}'; done`), fault.Permanent, ""},
		{"allow, but goes on", sh(`sleep 60 & echo '{"allow":true}'`), fault.Permanent, "keeps its output open"},
		{"no program", "nonsense", fault.Permanent, "exec format error"},
		{"interpreter missing", "#!/nowhere/sh\n", fault.Permanent, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ask(t, program(t, c.text))
			if (err == nil) != (c.class == fault.Internal) || err != nil && (fault.ClassOf(err) != c.class || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v (%s)", err, fault.ClassOf(err))
			}
		})
	}
}

func TestItGetsTheFactsAndNothingElse(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "the-runners-secret")
	t.Setenv("CUSTOM_ENV_CI_JOB_TOKEN", "a-job-token")
	out := filepath.Join(t.TempDir(), "out")
	conf := program(t, "#!/bin/bash\n{ cat; env; pwd; echo \"args $*\"; ls -l /proc/$$/fd; } > "+out+" 2>&1\necho '{\"allow\":true}'\n")
	if _, err := ask(t, conf); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	line, rest, _ := strings.Cut(string(b), "\n")
	var q question
	if err := json.Unmarshal([]byte(line), &q); err != nil {
		t.Fatal(err)
	}
	facts := map[string]roles.FactView{}
	for _, f := range q.Facts {
		facts[f.Name] = f
	}
	if q.Version != 1 || q.Rule != "deploys" || q.RoleARN != "arn:aws:iam::111122223333:role/deploy" || q.Duration != 3600 ||
		facts["environment"].Value != "production" || facts["environment"].From != "GitLab (ID token)" || len(facts["job_name"].Value) < 5000 {
		t.Errorf("%+v", q)
	}
	for _, secret := range []string{"the-runners-secret", "a-job-token", "the-external-id", "AWS_", "CUSTOM_ENV"} {
		if strings.Contains(string(b), secret) {
			t.Errorf("it sees %s", secret)
		}
	}
	for _, want := range []string{"PATH=/usr/local/bin:/usr/bin:/bin\n", "\n/\n", "args an argument\n"} {
		if !strings.Contains(rest, want) {
			t.Errorf("%q is missing in\n%s", want, rest)
		}
	}
}

func TestOnlyThePinnedProgramRuns(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	text := "#!/bin/sh\ntouch " + ran + "\necho '{\"allow\":true}'\n"
	for name, change := range map[string]func(*settings.Policy) error{
		"changed":            func(p *settings.Policy) error { return os.WriteFile(p.Command[0], []byte(text+"#"), 0o700) },
		"replaced":           func(p *settings.Policy) error { return os.Rename(program(t, text+"# ").Command[0], p.Command[0]) },
		"writable by others": func(p *settings.Policy) error { return os.Chmod(p.Command[0], 0o707) },
		"writable by group":  func(p *settings.Policy) error { return os.Chmod(p.Command[0], 0o770) },
		"in an open directory": func(p *settings.Policy) error {
			return os.Chmod(filepath.Dir(p.Command[0]), 0o777)
		},
		"gone": func(p *settings.Policy) error { return os.Remove(p.Command[0]) },
		"a directory": func(p *settings.Policy) error {
			p.Command[0] = filepath.Dir(p.Command[0])
			return nil
		},
		"another digest": func(p *settings.Policy) error {
			p.SHA256 = strings.Repeat("0", 64)
			return nil
		},
	} {
		conf := program(t, text)
		if err := change(&conf); err != nil {
			t.Fatal(err)
		}
		if _, err := ask(t, conf); fault.ClassOf(err) != fault.Permanent {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(ran); err == nil {
			t.Fatalf("%s: it ran", name)
		}
	}
}

// A name that is made to mean another file after the digest was compared makes
// no difference: the open file is run.
func TestASwappedNameChangesNothing(t *testing.T) {
	conf := program(t, "#!/bin/sh\necho '{\"allow\":false}'\n")
	f, err := open(conf)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	evil := program(t, "#!/bin/sh\necho '{\"allow\":true}'\n")
	if err := os.Rename(evil.Command[0], conf.Command[0]); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 64)
	n, _ := f.ReadAt(b, 0)
	if !strings.Contains(string(b[:n]), "false") {
		t.Error("the open file is another one")
	}
}

func TestASlowProgramIsEndedWithItsChildren(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	conf := program(t, "#!/bin/sh\nsleep 600 &\necho $! > "+pid+"\nwait\n")
	conf.Timeout = 300 * time.Millisecond
	if _, err := ask(t, conf); fault.ClassOf(err) != fault.Passing || !strings.Contains(err.Error(), "no answer within") {
		t.Error(err)
	}
	b, err := os.ReadFile(pid)
	if err != nil {
		t.Skip("the program was ended before it began")
	}
	for range 200 {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(b)) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("its child lives on")
}

func TestACancelledJobEndsTheQuestion(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d, f := decision()
	if _, err := Ask(ctx, program(t, "#!/bin/sh\necho '{\"allow\":true}'\n"), d, f); err == nil {
		t.Error("allowed")
	}
}

func TestItsComplaintsAreKeptForTheAdministrator(t *testing.T) {
	a, err := ask(t, program(t, "#!/bin/sh\nprintf '%05000d' 1 >&2\nexit 1\n"))
	if err == nil || len(a.Stderr) != maxStderr || strings.Contains(err.Error(), "0000") {
		t.Errorf("%d bytes, %v", len(a.Stderr), err)
	}
}
