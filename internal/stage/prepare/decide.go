package prepare

import (
	"context"
	"fmt"
	"slices"
	"time"

	"envrole/executor/job"
	"envrole/executor/proof"
	"envrole/internal/stage"
	"envrole/internal/version"
	"envrole/roles"
	"envrole/roles/fault"
	"envrole/roles/settings"
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
	possible := roles.Possible(rules, p.facts, claims.Names)
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

// prove turns the claimed environment into a fact, by the way that the
// configuration asks for.
func (p *preparation) prove(ctx context.Context, claims job.Claims) error {
	if p.conf.GitLab.Proof == settings.ProofUnverified {
		p.facts = p.payload.Unverified(p.facts)
		stage.Say(p.call.Stdout, "the environment is taken from the job's own variables (proof = \"unverified\"): anyone who can start a job here can get any role")
		return nil
	}
	client, err := proof.New(proof.Options{
		URL: p.conf.GitLab.URL, CAFile: p.conf.GitLab.CAFile, Timeout: p.conf.GitLab.Timeout,
		UserAgent: "envrole/" + version.Number,
	})
	if err != nil {
		return err
	}
	start := time.Now()
	proven, err := client.Prove(ctx, proof.SubjectOf(p.payload, claims))
	p.proofTook = time.Since(start)
	if err != nil {
		return err
	}
	p.facts = proof.Apply(p.facts, proven)
	return nil
}
