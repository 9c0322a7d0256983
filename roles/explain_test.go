package roles

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

func TestExplainLend(t *testing.T) {
	other, r := deployRule(), deployRule()
	other.Name, other.Environments, other.Line = "other", []Pattern{"staging"}, 3
	r.Grant.Chain = []string{"arn:aws:iam::111122223333:role/hub"}
	r.Grant.ExternalID, r.Grant.Policy = "hunter2", `{"Statement":"hidden"}`
	f := deployFacts()
	e := Decide([]Rule{other, r}, f).Explain(f)
	raw, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"outcome":"lend"`, `"rule":"deploys"`, `"line":7`, `"role_arn":"arn:aws:iam::111122223333:role/deploy"`,
		`"region":"eu-central-1"`, `"duration":"30m0s"`, `"chain":["arn:aws:iam::111122223333:role/hub"]`,
		`{"name":"environment","value":"production","from":"GitLab (API)"}`,
		`{"name":"job_name","value":"deploy web","from":"the job's author"}`,
		`{"name":"ref_protected","value":"true","from":"GitLab (payload)"}`,
		`{"rule":"other","line":3,"matched":false,"condition":"environments","reason":"environments: the environment \"production\" is not \"staging\""}`,
		`{"rule":"deploys","line":7,"matched":true,"reason":"all conditions hold"}`,
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no %s in %s", want, raw)
		}
	}
	text := e.Text()
	for _, want := range []string{"lend: rule \"deploys\" matches", "through   arn:aws:iam", "yes \"deploys\" (line 7)", "no  \"other\" (line 3): environments:"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if both := string(raw) + text; strings.Contains(both, "hunter2") || strings.Contains(both, "hidden") {
		t.Error("the explanation tells the external id or the policy")
	}
}

func TestExplainNoRole(t *testing.T) {
	e := Decide(nil, Facts{}).Explain(Facts{})
	raw, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(raw), `"outcome":"no role","why":"the job has no environment"`) || !strings.Contains(string(raw), `"trail":[]`) {
		t.Errorf("%s", raw)
	}
	if strings.Contains(string(raw), "duration") {
		t.Errorf("a duration without a role: %s", raw)
	}
}

// Every text that a person reads stays harmless, whatever the facts hold.
func TestHostileValuesStayHarmless(t *testing.T) {
	hostile := "\x1b]0;x\x07\x1b[2J\r\n\u009b31m\u202e\u2066\x00\xff" + strings.Repeat("A", 1<<20)
	h := Fact{hostile, GitLabAPI}
	f := Facts{
		ProjectPath: h, Ref: h, RefProtected: true, Environment: h, EnvironmentSlug: h, Tier: h,
		UserLogin: h, JobName: h, Action: h, Source: h, ProjectID: 4242,
	}
	open := deployRule()
	open.Environments, open.Projects, open.Refs = []Pattern{"*"}, []Pattern{"*"}, []Pattern{"*"}
	open.RequireRole = true
	var rules []Rule
	for c := CondEnvironments; c <= CondSources; c++ {
		r := open
		for _, fixed := range []struct {
			cond Condition
			list *[]Pattern
		}{
			{CondTiers, &r.Tiers},
			{CondUsers, &r.Users},
			{CondJobs, &r.Jobs},
			{CondActions, &r.Actions},
			{CondSources, &r.Sources},
		} {
			if fixed.cond < c {
				*fixed.list = []Pattern{"*"}
			}
		}
		rules = append(rules, r)
	}
	filling := open
	filling.Tiers, filling.Users, filling.Jobs, filling.Actions, filling.Sources = nil, nil, nil, nil, nil
	filling.Grant.RoleARN += "{tier}"
	texts := []string{}
	for _, set := range [][]Rule{rules, append(rules, filling), {deployRule()}} {
		d := Decide(set, f)
		if d.Outcome == Lend {
			t.Fatal("lent")
		}
		texts = append(texts, d.Why)
		e := d.Explain(f)
		texts = append(texts, strings.Split(e.Text(), "\n")...)
		for i := range d.Trail {
			texts = append(texts, d.Trail[i].Reason(f))
		}
		texts = append(texts, Possible(set, f, []string{hostile, hostile + "b"}).Decision.Why)
	}
	for _, text := range texts {
		if len(text) > 8*maxValue {
			t.Errorf("%d bytes long: %.100s", len(text), text)
		}
		if i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }); i >= 0 {
			t.Errorf("raw character in %.100q", text[i:])
		}
	}
}

func TestReasonOfAnEmptyVerdict(t *testing.T) {
	if got := (Verdict{}).Reason(Facts{}); got != "" {
		t.Errorf("%q", got)
	}
}

func TestEveryConditionHasAKeyAndAReason(t *testing.T) {
	seen := map[string]bool{}
	for c := CondEnvironments; c <= CondSources; c++ {
		r := deployRule()
		reason := Verdict{Rule: &r, Failed: c}.Reason(Facts{})
		if c.Key() == "" || seen[c.Key()] || !strings.HasPrefix(reason, c.Key()+": ") || strings.Contains(reason, "does not hold") {
			t.Errorf("condition %d: key %q, reason %q", c, c.Key(), reason)
		}
		seen[c.Key()] = true
	}
	if Matched.Key() != "" || Condition(99).Key() != "" {
		t.Error("a key for what is no condition")
	}
}
