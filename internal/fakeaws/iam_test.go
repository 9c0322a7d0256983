package fakeaws

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

func TestPutRolePolicyChecksTheDocument(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy(), revoker()}})
	admin := assume(t, s, runner(t, s), revokerRole, "revoker")
	statement := func(inner string) string { return `{"Version":"2012-10-17","Statement":[{` + inner + `}]}` }
	for name, doc := range map[string]string{
		"no JSON":            `{`,
		"text after":         denyName("x") + "x",
		"unknown element":    statement(`"Effect":"Deny","Action":"*","Resource":"*","Conditions":{}`),
		"unknown operator":   statement(`"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringLikes":{"aws:userid":"x"}}`),
		"no resource":        statement(`"Effect":"Deny","Action":"*"`),
		"no action":          statement(`"Effect":"Deny","Resource":"*"`),
		"action unprefixed":  statement(`"Effect":"Deny","Action":"ListBuckets","Resource":"*"`),
		"resource no ARN":    statement(`"Effect":"Deny","Action":"*","Resource":"bucket"`),
		"principal":          statement(`"Effect":"Deny","Action":"*","Resource":"*","Principal":"*"`),
		"effect misspelt":    statement(`"Effect":"deny","Action":"*","Resource":"*"`),
		"sid with a dash":    statement(`"Sid":"a-b","Effect":"Deny","Action":"*","Resource":"*"`),
		"unknown version":    `{"Version":"2020-01-01","Statement":[]}`,
		"no statement":       `{"Version":"2012-10-17","Statement":[]}`,
		"date that is none":  statement(`"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"soon"}}`),
		"condition is empty": statement(`"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:userid":[]}}`),
	} {
		t.Run(name, func(t *testing.T) {
			wantCode(t, putPolicy(t, s, admin, "deploy", "p", doc), "MalformedPolicyDocument", "")
		})
	}
	if p := s.Policies()[deployRole]; len(p) != 0 {
		t.Errorf("a refused policy was stored: %v", p)
	}
}

func TestInlinePoliciesShareTheirRoom(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy(), revoker()}})
	admin := assume(t, s, runner(t, s), revokerRole, "revoker")
	doc := func(size int) string { // of exactly size characters, white space aside
		empty := denyName("")
		return denyName(strings.Repeat("x", size-len(empty)))
	}
	put := func(name, text string) error { return putPolicy(t, s, admin, "deploy", name, text) }
	if err := put("a", doc(10000)); err != nil {
		t.Fatal(err)
	}
	wantCode(t, put("b", doc(241)), "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role deploy")
	if err := put("b", doc(240)+strings.Repeat(" \n", 500)); err != nil {
		t.Errorf("white space does not count: %v", err)
	}
	if err := put("a", doc(10000)); err != nil {
		t.Errorf("a policy replaces itself: %v", err)
	}
	_, err := iamAs(s, admin).DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String("deploy"), PolicyName: aws.String("a")})
	if err != nil {
		t.Fatal(err)
	}
	if err := put("c", doc(10000)); err != nil {
		t.Errorf("a deleted policy takes no room: %v", err)
	}
}

func TestPoliciesAreReadBackAndListedInPages(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy(), revoker()}})
	client := iamAs(s, assume(t, s, runner(t, s), revokerRole, "revoker"))
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("envrole-w-%d", i)
		want = append(want, name)
		_, err := client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("deploy"), PolicyName: &name, PolicyDocument: aws.String(denyName("gl-" + name))})
		if err != nil {
			t.Fatal(err)
		}
	}
	var have []string
	pages := iam.NewListRolePoliciesPaginator(client, &iam.ListRolePoliciesInput{RoleName: aws.String("deploy"), MaxItems: aws.Int32(3)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		have = append(have, page.PolicyNames...)
	}
	if !slices.Equal(have, want) || s.Count("ListRolePolicies") != 3 {
		t.Errorf("have %v in %d pages", have, s.Count("ListRolePolicies"))
	}
	got, err := client.GetRolePolicy(t.Context(), &iam.GetRolePolicyInput{RoleName: aws.String("deploy"), PolicyName: &want[3]})
	if err != nil {
		t.Fatal(err)
	}
	if text, err := url.QueryUnescape(*got.PolicyDocument); err != nil || text != denyName("gl-"+want[3]) {
		t.Errorf("read back %s (%v)", text, err)
	}
	role, err := client.GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("deploy")})
	if err != nil || *role.Role.Arn != deployRole || *role.Role.MaxSessionDuration != 7200 || *role.Role.RoleId != s.RoleID(deployRole) || *role.Role.Path != "/ci/" {
		t.Errorf("%+v, %v", role, err)
	}
}

func TestIAMNeedsPermissionForThatVeryRole(t *testing.T) {
	foreign := deploy()
	foreign.ARN = foreignRole
	s := start(t, Options{Roles: []Role{deploy(), revoker(), {ARN: otherRole}, foreign}})
	admin := assume(t, s, runner(t, s), revokerRole, "revoker")
	job := assume(t, s, runner(t, s), deployRole, "gl-1")
	const why = " because no identity-based policy allows the iam:PutRolePolicy action"
	wantCode(t, putPolicy(t, s, job, "deploy", "p", denyName("x")), "AccessDenied",
		"User: arn:aws:sts::111122223333:assumed-role/deploy/gl-1 is not authorized to perform: iam:PutRolePolicy on resource: role deploy"+why)
	wantCode(t, putPolicy(t, s, admin, "other", "p", denyName("x")), "AccessDenied", "role other"+why)
	wantCode(t, putPolicy(t, s, admin, "absent", "p", denyName("x")), "AccessDenied", "role absent"+why)
	if err := putPolicy(t, s, admin, "deploy", "p", denyName("x")); err != nil {
		t.Fatal(err)
	}
	// The role of that name in the caller's account, never another's.
	if p := s.Policies(); len(p[deployRole]) != 1 || len(p[foreignRole]) != 0 {
		t.Errorf("%v", p)
	}
	_, err := iamAs(s, admin).GetRolePolicy(t.Context(), &iam.GetRolePolicyInput{RoleName: aws.String("deploy"), PolicyName: aws.String("q")})
	wantCode(t, err, "NoSuchEntity", "The role policy with name q cannot be found.")
}

func TestADenyWorksAfterItsPropagation(t *testing.T) {
	base := time.Now()
	s := start(t, Options{Roles: []Role{deploy(), revoker()}, PropagationDelay: 10 * time.Second, Now: func() time.Time { return base }})
	mine, admin := assume(t, s, runner(t, s), deployRole, "gl-1"), assume(t, s, runner(t, s), revokerRole, "revoker")
	if err := putPolicy(t, s, admin, "deploy", "p", denyName("gl-1")); err != nil {
		t.Fatal(err)
	}
	wantProbe(t, s, mine, "")
	s.SetClockOffset(10 * time.Second)
	wantProbe(t, s, mine, "AccessDenied")
	if err := putPolicy(t, s, admin, "deploy", "p", denyName("gl-2")); err != nil {
		t.Fatal(err)
	}
	wantProbe(t, s, mine, "AccessDenied") // the version before is still in effect
	s.Settle()
	wantProbe(t, s, mine, "")
}
