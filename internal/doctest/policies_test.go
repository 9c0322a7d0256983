package doctest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

const installPage = "docs/install.md"

// policy is a documented IAM policy. Every list may be written as one text.
type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid       string
	Effect    string
	Principal map[string]oneOrMany
	Action    oneOrMany
	Resource  oneOrMany
	Condition map[string]map[string]oneOrMany
}

type oneOrMany []string

func (o *oneOrMany) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*o = oneOrMany{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(o))
}

// documented gives the policies of the install page in order: a, b, the
// revoker's trust, its permissions, and the limits of environment roles.
func documented(t *testing.T) (runner, trust, revokerTrust, revoker, limits policy) {
	t.Helper()
	list := blocksOf(t, installPage, "json")
	if len(list) != 5 {
		t.Fatalf("%d policies in %s, want 5", len(list), installPage)
	}
	var out [5]policy
	for i, b := range list {
		d := json.NewDecoder(strings.NewReader(b.text))
		d.DisallowUnknownFields()
		if err := d.Decode(&out[i]); err != nil {
			t.Fatalf("%s:%d: %v", b.page, b.line, err)
		}
	}
	return out[0], out[1], out[2], out[3], out[4]
}

// knownActions are those of EnvRole itself; prefixes with * stand in denies only.
func knownActions() []string {
	return []string{
		"sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity",
		"iam:PutRolePolicy", "iam:DeleteRolePolicy", "iam:ListRolePolicies", "iam:PassRole",
	}
}

func TestPoliciesAreWellFormed(t *testing.T) {
	runner, trust, revokerTrust, revoker, limits := documented(t)
	for _, c := range []struct {
		name   string
		p      policy
		trust  bool
		effect string
	}{
		{"runner", runner, false, "Allow"},
		{"environment role's trust", trust, true, "Allow"},
		{"revoker's trust", revokerTrust, true, "Allow"},
		{"revoker", revoker, false, "Allow"},
		{"limits", limits, false, "Deny"},
	} {
		if c.p.Version != "2012-10-17" || len(c.p.Statement) == 0 {
			t.Errorf("%s: version %q, %d statements", c.name, c.p.Version, len(c.p.Statement))
		}
		sids := map[string]bool{}
		for _, s := range c.p.Statement {
			if !regexp.MustCompile(`^[0-9A-Za-z]+$`).MatchString(s.Sid) || sids[s.Sid] {
				t.Errorf("%s: sid %q is empty, odd or not unique", c.name, s.Sid)
			}
			sids[s.Sid] = true
			if err := wellFormed(s, c.trust, c.effect); err != nil {
				t.Errorf("%s, %s: %v", c.name, s.Sid, err)
			}
		}
	}
}

func wellFormed(s statement, trust bool, effect string) error {
	arn := regexp.MustCompile(`^arn:aws:iam::\d{12}:role/[\w+=,.@*-]+$`)
	denyAll := regexp.MustCompile(`^iam:[A-Z][a-z]+\*$`)
	switch {
	case s.Effect != effect:
		return fmt.Errorf("effect %q", s.Effect)
	case len(s.Action) == 0:
		return fmt.Errorf("no action")
	case trust != (len(s.Principal) > 0), trust == (len(s.Resource) > 0):
		return fmt.Errorf("a trust policy has a principal and no resource, a permission the reverse")
	}
	for _, a := range s.Action {
		if !slices.Contains(knownActions(), a) && (effect != "Deny" || !denyAll.MatchString(a)) {
			return fmt.Errorf("action %q is not one that EnvRole uses", a)
		}
	}
	for kind, list := range s.Principal {
		for _, p := range list {
			if kind != "AWS" || !arn.MatchString(p) || strings.Contains(p, "*") {
				return fmt.Errorf("principal %s %q is not one role", kind, p)
			}
		}
	}
	for _, r := range s.Resource {
		if effect == "Allow" && strings.Contains(r, "*") || r != "*" && !arn.MatchString(r) {
			return fmt.Errorf("resource %q", r)
		}
	}
	return nil
}

// Each action that EnvRole uses is granted where it is needed and nowhere else.
func TestActionsAreGrantedExactlyWhereNeeded(t *testing.T) {
	runner, trust, revokerTrust, revoker, _ := documented(t)
	for _, c := range []struct {
		name string
		p    policy
		want []string
	}{
		{"runner", runner, []string{"sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"}},
		{"environment role's trust", trust, []string{"sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"}},
		{"revoker's trust", revokerTrust, []string{"sts:AssumeRole"}},
		{"revoker", revoker, []string{"iam:DeleteRolePolicy", "iam:ListRolePolicies", "iam:PutRolePolicy"}},
	} {
		var have []string
		for _, s := range c.p.Statement {
			have = append(have, s.Action...)
		}
		slices.Sort(have)
		if have = slices.Compact(have); !slices.Equal(have, c.want) {
			t.Errorf("%s: %q, want %q", c.name, have, c.want)
		}
	}
	rows := table(section(t, installPage, "## 4. AWS: four policies"))
	if len(rows) != 4 {
		t.Errorf("the overview has %d policies", len(rows))
	}
}

func TestTerraformSaysWhatTheJSONSays(t *testing.T) {
	all := blocks(t, installPage)
	pairs := 0
	for i, b := range all {
		if b.lang != "json" {
			continue
		}
		if i+1 >= len(all) || all[i+1].lang != "hcl" {
			t.Errorf("%s:%d: no Terraform follows", b.page, b.line)
			continue
		}
		pairs++
		found := jsonencoded(t, all[i+1])
		if len(found) != 1 {
			t.Errorf("%s:%d: %d policies", b.page, all[i+1].line, len(found))
			continue
		}
		var want, have any
		if err := json.Unmarshal([]byte(b.text), &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(found[0]), &have); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(want, have) {
			var indented bytes.Buffer
			_ = json.Indent(&indented, []byte(found[0]), "", "  ")
			t.Errorf("%s:%d: the Terraform makes another policy:\n%s", b.page, all[i+1].line, indented.String())
		}
	}
	if pairs != 5 {
		t.Errorf("%d pairs", pairs)
	}
	for _, b := range blocksOf(t, "", "hcl") {
		jsonencoded(t, b) // parses
		if strings.Contains(b.text, "inline_policy") || strings.Contains(b.text, "_exclusive") {
			t.Errorf("%s:%d: exclusive inline policies would remove the denies", b.page, b.line)
		}
	}
}

// jsonencoded parses Terraform and evaluates its policy attributes.
func jsonencoded(t *testing.T, b block) []string {
	t.Helper()
	file, diags := hclsyntax.ParseConfig([]byte(b.text), b.page, hcl.Pos{Line: b.line, Column: 1})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok || len(body.Blocks) == 0 {
		t.Fatalf("%s:%d: no resource", b.page, b.line)
	}
	ctx := &hcl.EvalContext{Functions: map[string]function.Function{"jsonencode": stdlib.JSONEncodeFunc}}
	var out []string
	for _, r := range body.Blocks {
		if r.Type != "resource" || len(r.Labels) != 2 {
			t.Errorf("%s: %s %q is no resource", b.page, r.Type, r.Labels)
		}
		for _, name := range []string{"policy", "assume_role_policy"} {
			a := r.Body.Attributes[name]
			if a == nil {
				continue
			}
			v, diags := a.Expr.Value(ctx)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			out = append(out, v.AsString())
		}
	}
	return out
}
