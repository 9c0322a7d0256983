package session

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"envrole/roles"
	"envrole/roles/fault"
)

const (
	runnerRole = "arn:aws:iam::999988887777:role/runner"
	runnerUser = "arn:aws:iam::999988887777:user/ops/ci"
)

// blocks gives the JSON blocks of a help text, parsed.
func blocks(t *testing.T, help string) []statement {
	t.Helper()
	var out []statement
	for rest := help; ; {
		i := strings.Index(rest, "{\n")
		if i < 0 {
			return out
		}
		dec := json.NewDecoder(strings.NewReader(rest[i:]))
		dec.DisallowUnknownFields()
		var s statement
		if err := dec.Decode(&s); err != nil {
			t.Fatalf("%v in the help:\n%s", err, help)
		}
		out = append(out, s)
		rest = rest[i+int(dec.InputOffset()):]
	}
}

func TestADenialShowsTheStatementThatIsMissing(t *testing.T) {
	aws := func(arn string) map[string]string { return map[string]string{"AWS": arn} }
	all := []string{actionAssume, actionTag}
	withID := map[string]map[string]string{"StringEquals": {"sts:ExternalId": externalIDHint}}
	msg := func(who, action, rest string) string {
		return "User: " + who + " is not authorized to perform: " + action + " on resource: " + roleARN + rest
	}
	session := "arn:aws:sts::999988887777:assumed-role/runner/i-0123"
	for _, tt := range []struct {
		name, message string
		edit          func(*roles.Grant)
		want          []statement
	}{
		{"both sides", msg(session, actionAssume, ""), nil, []statement{
			{"Allow", aws(runnerRole), all, "", nil},
			{"Allow", nil, all, roleARN, nil},
		}},
		{"a user", msg(runnerUser, actionAssume, ""), nil, []statement{
			{"Allow", aws(runnerUser), all, "", nil},
			{"Allow", nil, all, roleARN, nil},
		}},
		{"AWS says the identity policy", msg(session, actionAssume, " because no identity-based policy allows the sts:AssumeRole action"), nil, []statement{
			{"Allow", nil, all, roleARN, nil},
		}},
		{"AWS says the trust policy", msg(session, actionAssume, " because no resource-based policy allows the sts:AssumeRole action"), nil, []statement{
			{"Allow", aws(runnerRole), all, "", nil},
		}},
		{"only TagSession", msg(session, actionTag, ""), nil, []statement{
			{"Allow", aws(runnerRole), []string{actionTag}, "", nil},
			{"Allow", nil, []string{actionTag}, roleARN, nil},
		}},
		{"only SetSourceIdentity", msg(session, actionIdentity, ""), func(g *roles.Grant) { g.SourceIdentity = "session" }, []statement{
			{"Allow", aws(runnerRole), []string{actionIdentity}, "", nil},
			{"Allow", nil, []string{actionIdentity}, roleARN, nil},
		}},
		{"external id and source identity", msg(session, actionAssume, ""), func(g *roles.Grant) { g.ExternalID, g.SourceIdentity = externalID, "session" }, []statement{
			{"Allow", aws(runnerRole), []string{actionAssume}, "", withID},
			{"Allow", aws(runnerRole), []string{actionTag, actionIdentity}, "", nil},
			{"Allow", nil, []string{actionAssume, actionTag, actionIdentity}, roleARN, nil},
		}},
		{"AWS names nobody", "Access denied", nil, []statement{
			{"Allow", aws(unknownPrincipal), all, "", nil},
			{"Allow", nil, all, roleARN, nil},
		}},
		{"AWS names a stranger", msg(`arn:aws:iam::1:*"}`, actionAssume, ""), nil, []statement{
			{"Allow", aws(unknownPrincipal), all, "", nil},
			{"Allow", nil, all, roleARN, nil},
		}},
		{"explicit deny", msg(session, actionAssume, " with an explicit deny in a service control policy"), nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cleanEnv(t)
			userKeys(t)
			srv := newSTS(t, fails(403, "AccessDenied", tt.message))
			_, err := srv.base(t).Lend(t.Context(), request(t, tt.edit))
			if fault.ClassOf(err) != fault.Permanent {
				t.Fatalf("%v of class %s", err, fault.ClassOf(err))
			}
			help := fault.HelpOf(err)
			if got := blocks(t, help); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("statements %+v\nwant %+v\nhelp:\n%s", got, tt.want, help)
			}
			if strings.Contains(help, externalID) {
				t.Error("the external id is shown")
			}
		})
	}
}

func TestADenialInAChainNamesTheHopThatIsMissing(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	srv := newSTS(t, lends, denied(actionAssume))
	_, err := srv.base(t).Lend(t.Context(), request(t, func(g *roles.Grant) { g.Chain = []string{hubARN} }))
	got := blocks(t, fault.HelpOf(err))
	if len(got) != 2 || got[0].Principal["AWS"] != hubARN || got[1].Resource != roleARN {
		t.Errorf("statements %+v", got)
	}
	srv = newSTS(t, denied(actionAssume))
	_, err = srv.base(t).Lend(t.Context(), request(t, func(g *roles.Grant) { g.Chain = []string{hubARN} }))
	got = blocks(t, fault.HelpOf(err))
	if len(got) != 2 || got[0].Principal["AWS"] != runnerRole || got[1].Resource != hubARN || len(got[0].Action) != 1 {
		t.Errorf("statements %+v", got)
	}
}

func TestASourceIdentityNeedsItsPermissionOnEveryRoleOfAChain(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	srv := newSTS(t, lends, denied(actionAssume))
	_, err := srv.base(t).Lend(t.Context(), request(t, func(g *roles.Grant) { g.Chain, g.SourceIdentity = []string{hubARN}, "session" }))
	for _, s := range blocks(t, fault.HelpOf(err)) {
		if !slices.Contains(s.Action, actionIdentity) {
			t.Errorf("statement %+v", s)
		}
	}
}

func TestBestEffortIsNotOfferedWhereTheRuleHasTags(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	srv := newSTS(t, denied(actionTag))
	_, err := srv.base(t).Lend(t.Context(), request(t, func(g *roles.Grant) {
		g.Tags, g.SessionTags = map[string]string{"team": "x"}, roles.TagsBestEffort
	}))
	if !strings.Contains(fault.HelpOf(err), "never left out") {
		t.Errorf("help %q", fault.HelpOf(err))
	}
}

func TestADurationAboveTheRolesLimitIsNamedWithTheWayOut(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	srv := newSTS(t, fails(http.StatusBadRequest, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."))
	r := request(t, nil)
	r.Grant.Duration *= 2
	_, err := srv.base(t).Lend(t.Context(), r)
	help := fault.HelpOf(err)
	if fault.ClassOf(err) != fault.Permanent || !strings.Contains(help, "2h0m0s") ||
		!strings.Contains(help, "aws iam update-role --role-name deploy-shop --max-session-duration 7200") {
		t.Errorf("%v of class %s, help %q", err, fault.ClassOf(err), help)
	}
}

func TestWhatIsNoRoleNeverReachesSTS(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	srv := newSTS(t, lends)
	b := srv.base(t)
	for _, arn := range []string{
		"", "deploy", "arn:aws:iam::111122223333:user/x", "arn:aws:iam::1:role/x", "arn:aws:iam::111122223333:role/",
		"arn:aws:iam::111122223333:role/*", "arn:aws:iam::111122223333:role/a b", "arn:aws:sts::111122223333:assumed-role/x/y",
		roleARN + "\n", "arn:aws:iam::111122223333:role/" + strings.Repeat("x", 65),
	} {
		_, err := b.Lend(t.Context(), request(t, func(g *roles.Grant) { g.RoleARN = arn }))
		if fault.ClassOf(err) != fault.Permanent {
			t.Errorf("%q: %v of class %s", arn, err, fault.ClassOf(err))
		}
	}
	if n := len(srv.seen()); n != 0 {
		t.Errorf("%d calls", n)
	}
}
