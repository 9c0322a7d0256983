package session

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"envrole/roles"
	"envrole/roles/fault"
)

const deniedByIdentity = "User: arn:aws:iam::999988887777:user/ci is not authorized to perform: sts:TagSession on resource: " + roleARN +
	" because no identity-based policy allows the sts:TagSession action"

func TestBestEffortDropsOnlyWhatItMay(t *testing.T) {
	exact := []string{TagEnvironment, TagProject, TagRef, TagRefType}
	droppable := []string{TagRefProtected, TagTier, TagUser, TagProjectID, TagPipelineID, TagJobID}
	packed := fails(400, "PackedPolicyTooLarge", "Packed size of session tags consumes 115% of allotted space.")
	explicit := fails(403, "AccessDenied", "User: arn:aws:iam::999988887777:user/ci is not authorized to perform: sts:TagSession on resource: "+roleARN+" with an explicit deny in a service control policy")
	for _, tt := range []struct {
		name        string
		sessionTags string
		rule        map[string]string
		answers     []http.HandlerFunc
		calls       int
		sent        []string // tags of the last call
		dropped     []string
		ok          bool
	}{
		{"no room", roles.TagsBestEffort, nil, []http.HandlerFunc{packed, lends}, 2, exact, droppable, true},
		{"no room, rule has tags", roles.TagsBestEffort, map[string]string{"team": "x"}, []http.HandlerFunc{packed, lends}, 2, append(slices.Clone(exact), "team"), droppable, true},
		{"never enough room", roles.TagsBestEffort, nil, []http.HandlerFunc{packed}, 2, exact, nil, false},
		{"no room, required", roles.TagsRequired, nil, []http.HandlerFunc{packed, lends}, 1, append(slices.Clone(exact), droppable...), nil, false},
		{"no TagSession", roles.TagsBestEffort, nil, []http.HandlerFunc{denied("sts:TagSession"), lends}, 2, nil, append(slices.Clone(exact), droppable...), true},
		{"no TagSession in the runner's policy", roles.TagsBestEffort, nil, []http.HandlerFunc{fails(403, "AccessDenied", deniedByIdentity), lends}, 2, nil, append(slices.Clone(exact), droppable...), true},
		{"no room, then no TagSession", roles.TagsBestEffort, nil, []http.HandlerFunc{packed, denied("sts:TagSession"), lends}, 3, nil, append(slices.Clone(droppable), exact...), true},
		{"no TagSession even without tags", roles.TagsBestEffort, nil, []http.HandlerFunc{denied("sts:TagSession")}, 2, nil, nil, false},
		{"no TagSession, rule has tags", roles.TagsBestEffort, map[string]string{"team": "x"}, []http.HandlerFunc{denied("sts:TagSession"), lends}, 1, append(append(slices.Clone(exact), droppable...), "team"), nil, false},
		{"no TagSession, required", roles.TagsRequired, nil, []http.HandlerFunc{denied("sts:TagSession"), lends}, 1, append(slices.Clone(exact), droppable...), nil, false},
		{"explicit deny", roles.TagsBestEffort, nil, []http.HandlerFunc{explicit, lends}, 1, append(slices.Clone(exact), droppable...), nil, false},
		{"no AssumeRole", roles.TagsBestEffort, nil, []http.HandlerFunc{denied("sts:AssumeRole"), lends}, 1, append(slices.Clone(exact), droppable...), nil, false},
		{"no SetSourceIdentity", roles.TagsBestEffort, nil, []http.HandlerFunc{denied("sts:SetSourceIdentity"), lends}, 1, append(slices.Clone(exact), droppable...), nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cleanEnv(t)
			userKeys(t)
			srv := newSTS(t, tt.answers...)
			s, err := srv.base(t).Lend(t.Context(), request(t, func(g *roles.Grant) {
				g.SessionTags, g.Tags = tt.sessionTags, tt.rule
				g.TransitiveTags = []string{TagTier}
			}))
			calls := srv.seen()
			keys, _ := calls[len(calls)-1].tags()
			if len(calls) != tt.calls || !sameSet(keys, tt.sent) || (err == nil) != tt.ok || !sameSet(s.DroppedTags, tt.dropped) {
				t.Fatalf("%d calls, tags sent %v, dropped %v, error %v", len(calls), keys, s.DroppedTags, err)
			}
			if transitive := calls[len(calls)-1].get("TransitiveTagKeys.member.1"); transitive != "" && !slices.Contains(keys, transitive) {
				t.Errorf("%s is passed as transitive without its tag", transitive)
			}
			if err != nil && fault.ClassOf(err) != fault.Permanent {
				t.Errorf("class %s", fault.ClassOf(err))
			}
			for _, key := range s.DroppedTags {
				if !strings.Contains(strings.Join(s.Warnings, "\n"), key) {
					t.Errorf("no warning names %s: %q", key, s.Warnings)
				}
			}
		})
	}
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}
