package fakeaws

import (
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func denyName(name string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*",` +
		`"Condition":{"StringLike":{"aws:userid":["*:` + name + `"]}}}]}`
}

func putPolicy(t *testing.T, s *Server, c aws.Credentials, role, name, doc string) error {
	t.Helper()
	_, err := iamAs(s, c).PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: &doc})
	return err
}

func TestDenyRefusesOneSessionAndNoOther(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy(), revoker()}})
	mine := assume(t, s, runner(t, s), deployRole, "gl-1-aaa")
	neighbour := assume(t, s, runner(t, s), deployRole, "gl-2-bbb")
	admin := assume(t, s, runner(t, s), revokerRole, "revoker")
	wantProbe(t, s, mine, "")

	if err := putPolicy(t, s, admin, "deploy", "envrole-w-1", denyName("gl-1-aaa")); err != nil {
		t.Fatal(err)
	}
	wantProbe(t, s, mine, "AccessDenied")
	wantProbe(t, s, neighbour, "")
	again := assume(t, s, runner(t, s), deployRole, "gl-1-aaa")
	wantProbe(t, s, again, "AccessDenied") // the same name is the same aws:userid

	id, err := stsAs(s, mine).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatalf("GetCallerIdentity can never be denied: %v", err)
	}
	if want := "arn:aws:sts::111122223333:assumed-role/deploy/gl-1-aaa"; *id.Arn != want {
		t.Errorf("arn %s, want %s", *id.Arn, want)
	}
	if want := s.RoleID(deployRole) + ":gl-1-aaa"; *id.UserId != want {
		t.Errorf("user id %s, want %s", *id.UserId, want)
	}
	sessions := s.Sessions()
	if !sessions[0].Denied || sessions[1].Denied || sessions[0].Live() || !sessions[1].Live() {
		t.Errorf("sessions: %+v", sessions)
	}

	_, err = iamAs(s, admin).DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String("deploy"), PolicyName: aws.String("envrole-w-1")})
	if err != nil {
		t.Fatal(err)
	}
	wantProbe(t, s, mine, "")
}

func TestCredentialsLookReal(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy()}})
	seen := map[string]bool{}
	for range 20 {
		c := assume(t, s, runner(t, s), deployRole, "gl-1")
		if !regexp.MustCompile(`^ASIA[A-Z2-7]{16}$`).MatchString(c.AccessKeyID) ||
			!regexp.MustCompile(`^[A-Za-z0-9/+]{40}$`).MatchString(c.SecretAccessKey) ||
			len(c.SessionToken) < 530 || len(c.SessionToken) > 1200 {
			t.Fatalf("odd credentials: %q, %d, %d", c.AccessKeyID, len(c.SecretAccessKey), len(c.SessionToken))
		}
		for _, must := range []string{"/", "+", "="} {
			if !strings.Contains(c.SessionToken, must) {
				t.Fatalf("no %q in the token", must)
			}
		}
		if seen[c.AccessKeyID] || seen[c.SessionToken] || seen[c.SecretAccessKey] {
			t.Fatal("a credential was given twice")
		}
		seen[c.AccessKeyID], seen[c.SessionToken], seen[c.SecretAccessKey] = true, true, true
	}
}
