package prepare

import (
	"fmt"
	"slices"
	"time"

	"envrole/executor"
	"envrole/internal/audit"
	"envrole/internal/stage"
	"envrole/roles"
	"envrole/roles/session"
)

// withoutRole says in the job's log why there is no role. The audit log has it
// only for a job that claims an environment: most jobs never do.
func (p *preparation) withoutRole(d roles.Decision) error {
	stage.Say(p.call.Stdout, "no role: %s", d.Why)
	if names := p.payload.Claims().Names; len(names) > 0 {
		return p.audit(audit.NoRole, audit.Fields{"reason": d.Why, "claimed": shown(names)})
	}
	return nil
}

// maxShown is how many claimed environments an event of the audit log names.
const maxShown = 5

// shown bounds what an author can make of one line of the audit log.
func shown(names []string) []string {
	var out []string
	for i, name := range names {
		if i == maxShown {
			return append(out, fmt.Sprintf("and %d more", len(names)-i))
		}
		if short := []rune(name); len(short) > maxName {
			name = string(short[:maxName]) + "..."
		}
		out = append(out, name)
	}
	return out
}

// maxName is the longest name that GitLab stores, in characters.
const maxName = 255

// tellLent says in the job's log what the job was lent.
func (p *preparation) tellLent(d roles.Decision, s session.Session) {
	stage.Say(p.call.Stdout, "environment %q, proven by %s: role %s", p.facts.Environment.Value, p.facts.Environment.From, s.RoleARN)
	stage.Say(p.call.Stdout, "facts: %s", provenances(p.facts))
	stage.Say(p.call.Stdout, "session %s until %s (rule %q)", s.Name, s.Expiration.UTC().Format(time.RFC3339), d.Rule.Name)
	for _, w := range s.Warnings {
		stage.Say(p.call.Stdout, "warning: %s", w)
	}
	if text := outlives(p.payload.Timeout, s.Duration, d.Grant.Delivery, p.base.Table().Deliveries); text != "" {
		stage.Say(p.call.Stdout, "%s", text)
	}
}

// outlives says that a job may run for longer than a session that is renewed
// between its scripts only, and what helps with its base: that can do the
// deliveries of can.
func outlives(timeout, lasts time.Duration, delivery string, can []string) string {
	if timeout <= lasts || (delivery != roles.DeliveryEnv && delivery != "") {
		return ""
	}
	for _, better := range []string{roles.DeliveryEndpoint, roles.DeliveryProfile} {
		if slices.Contains(can, better) {
			return fmt.Sprintf("notice: the job may run for %s, its session lasts %s and is renewed between scripts only; delivery = %q renews it within one", timeout, lasts, better)
		}
	}
	return fmt.Sprintf("notice: the job may run for %s, its session lasts %s and is renewed between scripts only: with this base, a script that runs for longer needs a longer duration", timeout, lasts)
}

// auditLent writes down what was lent; a session that cannot be audited is not
// used.
func (p *preparation) auditLent(d roles.Decision, s session.Session, took time.Duration) error {
	return p.audit(audit.Lent, audit.Fields{
		"role": s.RoleARN, "session": s.Name, "access_key_id": s.AccessKeyID, "assumed_role_id": s.AssumedRoleID,
		"expires": s.Expiration.UTC().Format(time.RFC3339), "duration_s": int(s.Duration.Seconds()),
		"packed_policy_percent": s.PackedPolicySize, "dropped_tags": s.DroppedTags, "revoke": d.Grant.Revoke,
		"reason": d.Why, "base": p.conf.Executor.Base, "process_guarantee": p.guarantee(),
		"sts_ms": took.Milliseconds(), "proof_ms": p.proofs.took.Milliseconds(), "sts_request": s.RequestID,
	})
}

// guarantee is the base's word for what ends the job's processes, if it has one.
func (p *preparation) guarantee() string {
	base, err := p.base.Open(p.plan)
	if err != nil {
		return ""
	}
	if g, ok := base.(executor.Guaranteed); ok {
		return g.Guarantee()
	}
	return ""
}
