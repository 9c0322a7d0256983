package prepare

import (
	"context"
	"fmt"
	"slices"

	"envrole/executor/proof/idtoken"
	"envrole/roles"
	"envrole/roles/fault"
)

// decide comes to one decision for the job. GitLab is asked only if one of the
// environments that the payload claims could match a rule; from there on a
// failed lint or proof fails the job.
func (p *preparation) decide(ctx context.Context) (roles.Decision, error) {
	rules := p.conf.Rules
	claims := p.payload.Claims()
	if !p.conf.Session.Enabled {
		return p.killSwitch(claims.Names)
	}
	possible := roles.Possible(rules, p.certain(), claims.Names)
	if !possible.Could {
		return possible.Decision, p.refusal(possible.Decision)
	}
	if err := claims.Lint(); err != nil {
		return roles.Decision{}, err
	}
	if err := p.prove(ctx, claims); err != nil {
		return roles.Decision{}, err
	}
	decision := roles.Decide(rules, p.facts)
	return decision, p.refusal(decision)
}

// refusal turns a decision to refuse into the error that ends the job.
func (p *preparation) refusal(d roles.Decision) error {
	p.rule = d.Rule
	if d.Outcome != roles.Refuse {
		return nil
	}
	if d.ForProof() && d.Rule.Proof >= roles.IDToken {
		err := fmt.Errorf("%s", d.Why)
		if p.proofs.missing != nil {
			err = fmt.Errorf("%s: %w", d.Why, p.proofs.missing)
		}
		return fault.New(fault.Refused, "decide the job's role", "", err, idtoken.HowTo(p.conf.GitLab.Audience))
	}
	return fault.New(fault.Refused, "decide the job's role", "", fmt.Errorf("%s", d.Why),
		"`envrole explain` on the runner's host shows every rule and why it did not match.")
}

// killSwitch is [session] enabled = false: nothing is lent. Jobs run without a
// role, but for those that a rule with require_role could match.
func (p *preparation) killSwitch(names []string) (roles.Decision, error) {
	const why = "lending is switched off by the administrator ([session] enabled = false)"
	required := slices.DeleteFunc(slices.Clone(p.conf.Rules), func(r roles.Rule) bool { return !r.RequireRole })
	possible := roles.Possible(required, p.facts, names)
	if possible.Could || possible.Decision.Outcome == roles.Refuse {
		return roles.Decision{}, fault.New(fault.Refused, "lend a role", "", fmt.Errorf("%s, and a rule with require_role may name this job", why),
			"Retry the job when the administrator has switched lending on again.")
	}
	return roles.Decision{Outcome: roles.NoRole, Why: why}, nil
}
