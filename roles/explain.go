package roles

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Explanation is a decision as `envrole explain` shows it. It holds no external
// id and no session policy.
type Explanation struct {
	Outcome  string        `json:"outcome"` // "lend", "refuse" or "no role"
	Rule     string        `json:"rule,omitempty"`
	Line     int           `json:"line,omitempty"`
	Why      string        `json:"why"`
	RoleARN  string        `json:"role_arn,omitempty"`
	Region   string        `json:"region,omitempty"`
	Duration string        `json:"duration,omitempty"` // "30m0s"
	Chain    []string      `json:"chain,omitempty"`
	Facts    []FactView    `json:"facts"`
	Trail    []VerdictView `json:"trail"`
}

// FactView is one fact and who says so. Values are cut at 1,024 bytes.
type FactView struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// VerdictView is what became of one rule.
type VerdictView struct {
	Rule      string `json:"rule"`
	Line      int    `json:"line,omitempty"`
	Matched   bool   `json:"matched"`
	Condition string `json:"condition,omitempty"` // key of the first condition that failed
	Reason    string `json:"reason"`
}

// Explain puts a decision and the facts that it was made on into words.
func (d Decision) Explain(f Facts) Explanation {
	e := Explanation{
		Outcome: d.Outcome.String(),
		Why:     d.Why,
		Facts:   f.view(maxValue),
		Trail:   make([]VerdictView, 0, len(d.Trail)),
	}
	if d.Rule != nil {
		e.Rule, e.Line = d.Rule.Name, d.Rule.Line
	}
	if d.Outcome == Lend {
		e.RoleARN, e.Region, e.Chain = d.Grant.RoleARN, d.Grant.Region, d.Grant.Chain
		e.Duration = d.Grant.Duration.String()
	}
	for _, v := range d.Trail {
		if v.Rule == nil {
			continue
		}
		e.Trail = append(e.Trail, VerdictView{
			Rule: v.Rule.Name, Line: v.Rule.Line, Matched: v.Failed == Matched,
			Condition: v.Failed.Key(), Reason: v.Reason(f),
		})
	}
	return e
}

// View lists the facts that a decision can rest on, and who says each. Values
// are whole, and may be as long and as hostile as their authors like.
func (f Facts) View() []FactView { return f.view(math.MaxInt) }

// view lists the facts that a decision can rest on, unknown ones too.
func (f *Facts) view(longest int) []FactView {
	id := func(name string, v int64) FactView {
		if v == 0 {
			return FactView{Name: name, From: Absent.String()}
		}
		from := "GitLab" // the payload, or the API's answer
		if f.IDsFrom != Absent {
			from = f.IDsFrom.String()
		}
		return FactView{Name: name, Value: strconv.FormatInt(v, 10), From: from}
	}
	text := func(name string, v Fact) FactView {
		return FactView{Name: name, Value: clip(v.Value, longest), From: v.From.String()}
	}
	flag := func(name string, v bool) FactView {
		return FactView{Name: name, Value: strconv.FormatBool(v), From: f.Ref.From.String()}
	}
	return []FactView{
		text("environment", f.Environment),
		text("environment_slug", f.EnvironmentSlug),
		text("tier", f.Tier),
		text("project_path", f.ProjectPath),
		id("project_id", f.ProjectID),
		text("ref", f.Ref),
		flag("tag", f.Tag),
		flag("ref_protected", f.RefProtected),
		flag("merge_request", f.MergeRequest),
		text("user_login", f.UserLogin),
		text("job_name", f.JobName),
		text("action", f.Action),
		text("source", f.Source),
		text("environment_protected", f.EnvironmentProtected),
		text("user_access_level", f.UserAccessLevel),
		text("ci_config", f.CIConfig),
		id("job_id", f.JobID),
		id("pipeline_id", f.PipelineID),
		id("user_id", f.UserID),
	}
}

// Text is the explanation for people, several lines, safe for a terminal
// whatever the values hold.
func (e Explanation) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", e.Outcome, e.Why)
	if e.RoleARN != "" {
		fmt.Fprintf(&b, "\nrole      %s\n", e.RoleARN)
		for _, c := range e.Chain {
			fmt.Fprintf(&b, "through   %s\n", c)
		}
		fmt.Fprintf(&b, "region    %s\nduration  %s\n", e.Region, e.Duration)
	}
	b.WriteString("\nfacts\n")
	for _, f := range e.Facts {
		value := "-"
		if f.Value != "" {
			value = quote(f.Value)
		}
		fmt.Fprintf(&b, "  %-21s %s  (%s)\n", f.Name, value, f.From)
	}
	b.WriteString("\nrules, in order\n")
	for _, v := range e.Trail {
		mark := "no "
		if v.Matched {
			mark = "yes"
		}
		line := ""
		if v.Line > 0 {
			line = fmt.Sprintf(" (line %d)", v.Line)
		}
		fmt.Fprintf(&b, "  %s %s%s: %s\n", mark, quote(v.Rule), line, v.Reason)
	}
	return b.String()
}
