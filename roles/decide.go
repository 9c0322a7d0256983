package roles

import "fmt"

// Decide says what a job with these facts is lent: the grant of the first rule,
// in file order, whose conditions all hold.
//
// A rule whose other conditions hold and that wants a stronger proof than the
// job has makes it Refuse: whether a token is there is the author's choice, and
// must not choose between rules. Only the conditions on the token's own claims
// are not known then.
//
// If none holds the answer is NoRole, unless a rule with RequireRole names the
// job's environment and project: then it is Refuse, by the first such rule. It
// is Refuse too where a rule matches but its placeholders cannot be filled with
// proven facts: later rules are not tried then, because they stand later for a
// reason. The decision's rules point into rules.
func Decide(rules []Rule, f Facts) Decision {
	d := Decision{Trail: make([]Verdict, 0, len(rules))}
	for i := range rules {
		r := &rules[i]
		v := Verdict{Rule: r, Failed: r.firstFailure(&f)}
		d.Trail = append(d.Trail, v)
		if v.Failed == Matched {
			d.lend(r, &f)
			return d
		}
		if v.Failed == CondProof {
			d.unproven(r, &f, v)
			return d
		}
	}
	d.noMatch(&f, nil)
	return d
}

func (d *Decision) lend(r *Rule, f *Facts) {
	d.Rule = r
	grant, err := r.Grant.filled(f)
	if err != nil {
		d.Outcome = Refuse
		d.Why = fmt.Sprintf("rule %s matches, but its role cannot be lent: %s", quote(r.Name), err)
		return
	}
	d.Outcome = Lend
	d.Grant = grant
	d.Why = fmt.Sprintf("rule %s matches environment %s of project %s",
		quote(r.Name), quote(f.Environment.Value), f.project())
}

// unproven settles a decision at the first rule that wants a stronger proof.
func (d *Decision) unproven(r *Rule, f *Facts, v Verdict) {
	d.Outcome = Refuse
	d.Rule = r
	d.Why = fmt.Sprintf("rule %s is for %s, but %s", quote(r.Name), f.place(nil), v.detail(f))
}

// ForProof says whether the decision refuses the job for want of a proof.
func (d *Decision) ForProof() bool {
	return d.Outcome == Refuse && len(d.Trail) > 0 && d.Trail[len(d.Trail)-1].Failed == CondProof
}

// noMatch settles a decision whose trail holds no match. names are the
// environments the payload claims, where none is proven yet.
func (d *Decision) noMatch(f *Facts, names []string) {
	var near *Verdict
	for i := range d.Trail {
		v := &d.Trail[i]
		if v.Failed <= CondProjects {
			continue
		}
		if v.Rule.RequireRole {
			d.Outcome = Refuse
			d.Rule = v.Rule
			d.Why = fmt.Sprintf("rule %s requires its role for %s, but does not match: %s; %s",
				quote(v.Rule.Name), f.place(names), v.Reason(*f), wayOut(v.Failed))
			return
		}
		if near == nil {
			near = v
		}
	}
	d.Outcome = NoRole
	switch {
	case !f.Environment.Proven() && len(names) == 0:
		d.Why = "the job has no environment"
	case near != nil:
		d.Why = fmt.Sprintf("rule %s is for %s, but does not match: %s",
			quote(near.Rule.Name), f.place(names), near.Reason(*f))
	default:
		d.Why = "no rule for " + f.place(names)
	}
}

// place names the environment and project a sentence speaks of.
func (f *Facts) place(claimed []string) string {
	env := quote(f.Environment.Value)
	if len(claimed) > 0 {
		env = list(claimed)
	}
	return "environment " + env + " of project " + f.project()
}

// project names the project: its path, else its id.
func (f *Facts) project() string {
	switch {
	case f.ProjectPath.Known() && f.ProjectPath.Value != "":
		return quote(f.ProjectPath.Value)
	case f.ProjectID != 0:
		return fmt.Sprintf("%d", f.ProjectID)
	}
	return "(unknown)"
}
