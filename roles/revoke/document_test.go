package revoke

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"envrole/roles/lease"
)

const nameA, nameB = "gl-17-abcdefghijkl2", "gl-18-abcdefghijkl7"

func TestADocumentDeniesNamedSessionsAndNothingElse(t *testing.T) {
	doc, err := Document([]Entry{{nameB}, {nameA}, {nameB}})
	want := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:userid":["*:` +
		nameA + `","*:` + nameB + `"]}}}]}`
	if err != nil || doc != want {
		t.Errorf("document = %s, %v\nwant %s", doc, err, want)
	}
	if err := soundDocument(doc); err != nil {
		t.Error(err)
	}
}

func TestNoOddNameReachesADocument(t *testing.T) {
	for _, name := range []string{
		"", "*", "?", "gl-", "gl-17-", "gl-17-*", "gl-*-abcdefghijkl2", "gl-17-abcdefghijkl", "gl-17-abcdefghijkl22", "gl--abcdefghijkl2",
		"gl-17-abcdefghijkl1", "gl-17-ABCDEFGHIJKL2", "gl-17-abcdefghijkl?", "gl-17-abcdefghijk*", "gl-1.7-abcdefghijkl2", "GL-17-abcdefghijkl2",
		" " + nameA, nameA + " ", nameA + "\n", nameA + `","*`, "gl-17-abcdefghijk\\u", "gl-" + strings.Repeat("1", 60) + "-abcdefghijkl2",
		"gl-١٧-abcdefghijkl2", "x" + nameA, "gl-17-abc-efghijkl2", "gl-17-${aws:userid}",
	} {
		if doc, err := Document([]Entry{{nameA}, {name}}); err == nil || doc != "" {
			t.Errorf("%q: %s", name, doc)
		} else if strings.Contains(name, "*") && strings.Contains(err.Error(), name) {
			t.Errorf("%q is repeated: %v", name, err)
		}
	}
	for _, none := range [][]Entry{nil, {}} {
		if doc, err := Document(none); err == nil {
			t.Errorf("no session gives %s", doc)
		}
	}
}

func FuzzDocument(f *testing.F) {
	f.Add(nameA, nameB)
	f.Add("*", `"]`)
	f.Fuzz(func(t *testing.T, a, b string) {
		doc, err := Document([]Entry{{a}, {b}})
		if err != nil {
			return
		}
		if err := soundDocument(doc); err != nil {
			t.Error(err)
		}
	})
}

func TestAbout300SessionsFitOnARole(t *testing.T) {
	var entries []Entry
	var leases []lease.Lease
	for documentSize(leases) <= MaxPolicyChars-reserve {
		name := "gl-1234567890-" + strings.Repeat("a", 9) + string([]byte{alpha(len(leases) / 1024), alpha(len(leases) / 32), alpha(len(leases)), 'a'})
		entries = append(entries, Entry{name})
		leases = append(leases, lease.Lease{SessionName: name})
	}
	doc, err := Document(entries)
	if err != nil || len(entries) < 295 || len(doc) > documentSize(leases) {
		t.Errorf("%d entries, %d characters, %d estimated, %v", len(entries), len(doc), documentSize(leases), err)
	}
	for range 40 {
		entries = append(entries, Entry{"gl-1234567890-" + strings.Repeat("b", 11) + string([]byte{alpha(len(entries) / 32), alpha(len(entries))})})
	}
	if _, err := Document(entries); err == nil {
		t.Error("a document larger than a role holds")
	}
}

func alpha(n int) byte { return "abcdefghijklmnopqrstuvwxyz234567"[n%32] }

func TestRoleARNsAreTakenExactly(t *testing.T) {
	for arn, want := range map[string]string{
		roleA: "aws 111122223333 deploy",
		roleB: "aws 444455556666 deploy",
		"arn:aws-us-gov:iam::111122223333:role/a/b/c_+=,.@-9":       "aws-us-gov 111122223333 c_+=,.@-9",
		"arn:aws:iam::111122223333:role/" + strings.Repeat("a", 65): "",
		"arn:aws:iam::111122223333:role/":                           "",
		"arn:aws:iam::111122223333:role/*":                          "",
		"arn:aws:iam::111122223333:role/*/deploy":                   "",
		"arn:aws:iam::111122223333:role//deploy":                    "",
		"arn:aws:iam::11112222333:role/deploy":                      "",
		"arn:aws:iam::*:role/deploy":                                "",
		"arn:aws:iam:eu-central-1:111122223333:role/deploy":         "",
		"arn:aws:iam::111122223333:user/deploy":                     "",
		"arn:aws:sts::111122223333:assumed-role/deploy/x":           "",
		"arn:evil:iam::111122223333:role/deploy":                    "",
		"arn:aws:iam::111122223333:role/deploy\n":                   "",
		"arn:aws:iam::111122223333:role/dep loy":                    "",
		"arn:aws:iam::111122223333:role/dep:loy":                    "",
		"":                                                          "",
	} {
		p, a, n, ok := ParseRoleARN(arn)
		if got := strings.TrimSpace(p + " " + a + " " + n); ok != (want != "") || ok && got != want {
			t.Errorf("%q = %q, %v; want %q", arn, got, ok, want)
		}
	}
}

func TestOnlyOurOwnPastWindowsAreWellPast(t *testing.T) {
	now := time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC)
	for name, want := range map[string]bool{
		"envrole-abcdefghijkl2-2026112218":  true,
		"envrole-abcdefghijkl2-2026112219":  true, // its hour ended at 20:00, an hour ago
		"envrole-abcdefghijkl2-2026112220":  false,
		"envrole-abcdefghijkl2-2026112221":  false,
		"envrole-abcdefghijkl2-2099010100":  false,
		"envrole-abcdefghijkl2-2026113218":  false, // no such day
		"envrole-abcdefghijkl2-202611221":   false,
		"envrole-abcdefghijkl2-20261122180": false,
		"envrole-revoker-2020010100":        false,
		"envrole-abcdefghijkl2":             false,
		"envrole-":                          false,
		"admin-abcdefghijkl2-2020010100":    false,
		"Envrole-abcdefghijkl2-2020010100":  false,
	} {
		if got := WellPast(name, now); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	expiry := time.Date(2026, 11, 22, 22, 50, 0, 0, time.FixedZone("", 3600))
	if got := Window(expiry.Add(Margin)); got != "2026112222" {
		t.Errorf("window = %s", got)
	}
	name := PolicyName("abcdefghijkl2", "2026112222")
	if w, win, ok := ParsePolicyName(name); w != "abcdefghijkl2" || win != "2026112222" || !ok || len(name) > 128 {
		t.Errorf("%s = %s, %s, %v", name, w, win, ok)
	}
}

func TestTheMissingStatementCanBeCopied(t *testing.T) {
	help := AccessHelp(roleA)
	_, text, _ := strings.Cut(help, "\n")
	var s struct {
		Effect   string
		Action   []string
		Resource string
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	if s.Effect != "Allow" || s.Resource != roleA || strings.Join(s.Action, " ") != "iam:PutRolePolicy iam:DeleteRolePolicy iam:ListRolePolicies" {
		t.Errorf("%s", text)
	}
}
