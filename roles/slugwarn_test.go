package roles

import (
	"strings"
	"testing"
)

// A slug is what the author of an environment's name makes it.
func TestChoiceOfTheRoleByTheEnvironmentsNameIsSaid(t *testing.T) {
	for _, c := range []struct {
		environments []Pattern
		key, arn     string
		want         bool
	}{
		{[]Pattern{"*"}, "role_arn", "arn:aws:iam::111122223333:role/{environment_slug}", true},
		{[]Pattern{"production", "review/*"}, "role_arn", "arn:aws:iam::111122223333:role/x-{environment_slug}", true},
		{[]Pattern{"production", "staging"}, "role_arn", "arn:aws:iam::111122223333:role/{environment_slug}", false},
		{[]Pattern{"*"}, "role_arn", "arn:aws:iam::111122223333:role/{project_id}", false},
	} {
		r := Rule{Name: "r", Environments: c.environments, ProjectIDs: []int64{1}, Grant: Grant{RoleARN: c.arn}}
		said := false
		for _, p := range r.Check() {
			said = said || p.Warning && p.Key == c.key && strings.Contains(p.Msg, "{environment_slug}")
		}
		if said != c.want {
			t.Errorf("%v, %s: said %t", c.environments, c.arn, said)
		}
	}
}
