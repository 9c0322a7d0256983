package session

import (
	"encoding/json"
	"strings"
)

// statement is one statement of an IAM policy, in the order in which people
// write them.
type statement struct {
	Effect    string                       `json:"Effect"`
	Principal map[string]string            `json:"Principal,omitempty"`
	Action    []string                     `json:"Action"`
	Resource  string                       `json:"Resource,omitempty"`
	Condition map[string]map[string]string `json:"Condition,omitempty"`
}

// placeholders stand in a statement for what the job log should not, or cannot,
// show.
const (
	unknownPrincipal = "ARN-OF-THE-RUNNERS-ROLE-OR-USER"
	externalIDHint   = "EXTERNAL-ID-OF-THE-RULE"
)

// accessHelp gives the statements that a denied call may lack: one for the
// role's trust policy and one for the caller's own policy. AWS seldom says which
// of the two is missing, so both are shown, except where it does.
func (h hop) accessHelp(f *failure) string {
	principal, rest := f.deniedPrincipal()
	if f.explicitDeny() {
		return "An explicit deny forbids this call" + strings.TrimSuffix(strings.TrimPrefix(rest, " with an explicit deny"), ".") +
			": no statement can allow it while that one stands."
	}
	caller := callerARN(h.caller, principal)
	actions := h.actions(f.deniedAction())
	trust := trustStatements(caller, actions, h.externalID != "")
	own := []statement{{Effect: "Allow", Action: actions, Resource: h.roleARN}}

	help := ""
	switch {
	case strings.Contains(rest, "identity-based policy"):
		help = "The identity policy of " + caller + " must have:\n" + compact(own)
	case strings.Contains(rest, "resource-based policy"):
		help = "The trust policy of " + h.roleARN + " must have:\n" + compact(trust)
	default:
		help = "The trust policy of " + h.roleARN + " must have:\n" + compact(trust) +
			"\nand, where that role is in another account or its trust policy names a whole account, the identity policy of " +
			caller + " must have:\n" + compact(own) + "\nAWS says the same where the role does not exist."
	}
	if h.bestEffort && actions[0] == actionTag && len(h.tags.rule) > 0 {
		help += "\nsession_tags = \"best-effort\" does not help here: the rule's own tags are never left out."
	}
	if h.externalID != "" {
		help += "\n" + externalIDHint + " stands for external_id of the rule: both must be the same."
	}
	return help
}

// actions are those that the call needs: the named one alone where only an
// extra one is missing, else all.
func (h hop) actions(denied string) []string {
	if denied == actionTag || denied == actionIdentity {
		return []string{denied}
	}
	actions := []string{actionAssume}
	if len(h.tags.all()) > 0 {
		actions = append(actions, actionTag)
	}
	if h.identity {
		actions = append(actions, actionIdentity)
	}
	return actions
}

// trustStatements writes the trust policy's side. The external id is a
// condition of sts:AssumeRole only, so the other actions get a statement of
// their own.
func trustStatements(caller string, actions []string, externalID bool) []statement {
	principal := map[string]string{"AWS": caller}
	all := statement{Effect: "Allow", Principal: principal, Action: actions}
	if !externalID || actions[0] != actionAssume {
		return []statement{all}
	}
	out := []statement{{
		Effect: "Allow", Principal: principal, Action: actions[:1],
		Condition: map[string]map[string]string{"StringEquals": {"sts:ExternalId": externalIDHint}},
	}}
	if rest := actions[1:]; len(rest) > 0 {
		out = append(out, statement{Effect: "Allow", Principal: principal, Action: rest})
	}
	return out
}

func compact(st []statement) string {
	var lines []string
	for _, s := range st {
		b, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			continue // strings and maps of strings always marshal
		}
		lines = append(lines, string(b))
	}
	return strings.Join(lines, ",\n")
}

//nolint:gochecknoglobals // tables that are never written
var (
	roleFormat    = lazily(`^arn:(aws[a-z-]*):iam::(\d{12}):role/((?:[\x21-\x7E]+/)?([\w+=,.@-]{1,64}))$`)
	sessionFormat = lazily(`^arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/([\w+=,.@-]{1,64})/[\w+=,.@-]{2,64}$`)
	userFormat    = lazily(`^arn:aws[a-z-]*:iam::\d{12}:(user/[\x21-\x7E]+|root)$`)
)

// roleName is the name at the end of an IAM role's ARN, without the path.
func roleName(arn string) (name string, ok bool) {
	m := roleFormat().FindStringSubmatch(arn)
	if m == nil {
		return "", false
	}
	return m[4], true
}

// callerARN is the principal to write into a trust policy: the role of the hop
// before, or whom AWS named. A session's ARN becomes its role's (without the
// path, which AWS does not tell); anything else becomes a placeholder.
func callerARN(previous, named string) string {
	if previous != "" {
		return previous
	}
	if m := sessionFormat().FindStringSubmatch(named); m != nil {
		return "arn:" + m[1] + ":iam::" + m[2] + ":role/" + m[3]
	}
	if userFormat().MatchString(named) || roleFormat().MatchString(named) {
		return named
	}
	return unknownPrincipal
}
