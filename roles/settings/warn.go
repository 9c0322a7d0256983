package settings

import (
	"strings"
	"time"

	"envrole/roles"
)

// longSession is the most that AWS lends to a caller who is itself a role's
// session: an instance profile, a task role, a link of a chain.
const longSession = time.Hour

// warn notes what is legal but gives something up, and says what.
func (r *reader) warn(s *Settings, t *table) {
	warnProof(s, t.tables["gitlab"])
	warnSession(s, t)
	warnRevocation(s, t)
	if len(s.Rules) == 0 {
		t.warn("", "there is no [[role]] table: no job gets a role")
	}
}

func warnProof(s *Settings, t *table) {
	if s.GitLab.Proof == ProofUnverified {
		t.warn("proof", "the environment is the payload's own claim: everybody who can push a branch or start a pipeline in a project that a rule names can get every role of that project's rules; for demonstrations and runners of a single team only")
	}
	if s.GitLab.LegacyRefProtected {
		t.warn("legacy_ref_protected", "where GitLab does not say whether the ref is protected, a CI variable is believed: whoever writes the job can set it")
	}
}

func warnSession(s *Settings, t *table) {
	session := t.tables["session"]
	if !s.Session.Enabled {
		session.warn("enabled", "the kill switch is on: no session is lent to any job")
	}
	if s.Session.Enabled && session.text(keyRevoke) == roles.RevokeLocal {
		session.warn(keyRevoke, "sessions are not revoked in AWS when their job ends: a copy of the credentials works until they expire")
	}
	if session.length(keyDuration) > longSession {
		session.warn(keyDuration, "over 1h: AWS shortens it to 1h where the runner's own credentials are a role's (instance profile, task role) or a rule has a chain")
	}
	for i, rule := range t.rules {
		if rule.given(keyRevoke) && s.Rules[i].Grant.Revoke == roles.RevokeLocal {
			rule.warn(keyRevoke, "sessions of this rule are not revoked in AWS when their job ends: a copy of the credentials works until they expire")
		}
		// With a chain, roles.Rule.Check warns.
		if rule.given(keyDuration) && s.Rules[i].Grant.Duration > longSession && len(s.Rules[i].Grant.Chain) == 0 {
			rule.warn(keyDuration, "over 1h: AWS shortens it to 1h where the runner's own credentials are a role's (instance profile, task role)")
		}
	}
}

// warnRevocation: an inline policy can be put on a role only from within the
// role's own account.
func warnRevocation(s *Settings, t *table) {
	first := ""
	for i, rule := range t.rules {
		account := accountOf(s.Rules[i].Grant.RoleARN)
		if s.Rules[i].Grant.Revoke != roles.RevokePolicy || account == "" {
			continue
		}
		if s.Revocation.Identity == IdentityRunner {
			if first == "" {
				first = account
			} else if account != first {
				t.tables["revocation"].warn("identity", `rules lend roles of several accounts, and the runner's own identity can deny sessions in its own account only; use a role in each`)
				return
			}
			continue
		}
		if fixed := accountOf(s.Revocation.RoleARN); fixed != "" && fixed != account {
			rule.warn("role_arn", "the role is in account %s, the revoker in %s: it cannot deny this role's sessions; write {account} in [revocation] role_arn", account, fixed)
		}
	}
}

// accountOf gives the account of a role's ARN, "" where it is a placeholder or
// the text no ARN.
func accountOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || strings.Contains(parts[4], "{") {
		return ""
	}
	return parts[4]
}
