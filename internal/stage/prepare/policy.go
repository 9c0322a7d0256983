package prepare

import (
	"context"

	"envrole/internal/audit"
	"envrole/internal/sitepolicy"
	"envrole/internal/stage"
	"envrole/roles"
	"envrole/roles/fault"
)

// askPolicy puts the decision to the site's own program, if there is one. What
// it said stands in every later line of the audit log about this job.
func (p *preparation) askPolicy(ctx context.Context, d roles.Decision) error {
	if len(p.conf.Policy.Command) == 0 {
		return nil
	}
	a, err := sitepolicy.Ask(ctx, p.conf.Policy, d, p.facts)
	answer := "none"
	switch {
	case err == nil:
		answer = "allow"
	case fault.ClassOf(err) == fault.Refused:
		answer = "deny"
	}
	p.policy = audit.Fields{
		"policy": answer, "policy_sha256": p.conf.Policy.SHA256, "policy_ms": a.Took.Milliseconds(),
		"policy_stderr": stage.Printable(a.Stderr),
	}
	if err == nil && a.Message != "" {
		stage.Say(p.call.Stdout, "policy: %s", a.Message)
	}
	return err
}
