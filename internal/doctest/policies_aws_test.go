package doctest

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"envrole/internal/bases"
	"envrole/internal/fakeaws"
	"envrole/internal/revoker"
	"envrole/roles"
	"envrole/roles/lease"
	"envrole/roles/revoke"
	"envrole/roles/session"
	"envrole/roles/settings"
)

const (
	runnerRole  = "arn:aws:iam::444455556666:role/gitlab-runner"
	deployRole  = "arn:aws:iam::111122223333:role/deploy-shop"
	revokerRole = "arn:aws:iam::111122223333:role/envrole-revoker"
)

// permissions translates a policy into what the stand-in knows of a role.
func permissions(p policy, without string) []fakeaws.Permission {
	out := []fakeaws.Permission{}
	for _, s := range p.Statement {
		actions := slices.DeleteFunc(slices.Clone([]string(s.Action)), func(a string) bool { return a == without })
		if len(actions) > 0 {
			out = append(out, fakeaws.Permission{Actions: actions, Resources: s.Resource})
		}
	}
	return out
}

// trusting translates a trust policy, without one action.
func trusting(arn string, p policy, without string) fakeaws.Role {
	r := fakeaws.Role{ARN: arn}
	for _, s := range p.Statement {
		for _, a := range s.Action {
			if a == without {
				continue
			}
			switch a {
			case "sts:AssumeRole":
				r.TrustedPrincipals = append(r.TrustedPrincipals, s.Principal["AWS"]...)
				if id := s.Condition["StringEquals"]["sts:ExternalId"]; len(id) > 0 {
					r.RequireExternalID = id[0]
				}
			case "sts:TagSession":
				r.AllowTagSession = true
			case "sts:SetSourceIdentity":
				r.AllowSetSourceIdentity = true
			}
		}
	}
	return r
}

// lacks leaves one action out of one of the documented policies.
type lacks struct{ runner, trust, revokerTrust, revoker string }

// account is an AWS with the documented roles, and a runner that is one of them.
type account struct {
	*fakeaws.Server
	conf *settings.Settings
}

func newAccount(t *testing.T, l lacks) account {
	t.Helper()
	runner, trust, revokerTrust, revokerPolicy, _ := documented(t)
	deploy := trusting(deployRole, trust, l.trust)
	// What the limits are for: a role that may do anything.
	deploy.Allow = []fakeaws.Permission{{Actions: []string{"*"}}}
	rev := trusting(revokerRole, revokerTrust, l.revokerTrust)
	rev.Allow = permissions(revokerPolicy, l.revoker)
	s, err := fakeaws.Start(fakeaws.Options{Roles: []fakeaws.Role{
		{ARN: runnerRole, Allow: permissions(runner, l.runner)}, deploy, rev,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	own, err := s.IssueSession(runnerRole, "i-0123456789abcdef0", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range s.EndpointEnv() {
		k, v, _ := strings.Cut(kv, "=")
		t.Setenv(k, v)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", own.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", own.SecretAccessKey)
	t.Setenv("AWS_SESSION_TOKEN", own.SessionToken)
	t.Setenv("AWS_PROFILE", "")
	return account{s, installConfig(t)}
}

// installConfig is the configuration that the page shows.
func installConfig(t *testing.T) *settings.Settings {
	t.Helper()
	for _, b := range blocksOf(t, installPage, "toml") {
		if strings.Contains(b.text, "[gitlab]") {
			conf, err := settings.Parse("config.toml", []byte(b.text), bases.Lean().Tables())
			if err != nil {
				t.Fatal(err)
			}
			return conf
		}
	}
	t.Fatalf("%s shows no configuration", installPage)
	return nil
}

func installFacts() roles.Facts {
	api := func(v string) roles.Fact { return roles.Fact{Value: v, From: roles.GitLabAPI} }
	return roles.Facts{
		JobID: 9876543, ProjectID: 150, PipelineID: 77, UserID: 5,
		ProjectPath: roles.Fact{Value: "acme/shop/web", From: roles.Payload},
		Ref:         roles.Fact{Value: "main", From: roles.Payload}, RefProtected: true,
		Environment: api("production"), EnvironmentSlug: api("production"), Tier: api("production"), UserLogin: api("dana"),
	}
}

// lend decides and lends as prepare does, with or without a source identity.
func (a account) lend(t *testing.T, identity string) (session.Session, session.Request, error) {
	t.Helper()
	d := roles.Decide(a.conf.Rules, installFacts())
	if d.Outcome != roles.Lend {
		t.Fatal(d.Why)
	}
	tags, err := session.Tags(installFacts())
	if err != nil {
		t.Fatal(err)
	}
	name, err := session.NewName(9876543)
	if err != nil {
		t.Fatal(err)
	}
	d.Grant.SourceIdentity = identity
	base, err := session.LoadBase(t.Context(), d.Grant.Region)
	if err != nil {
		t.Fatal(err)
	}
	req := session.Request{Grant: d.Grant, Name: name, Tags: tags}
	s, err := base.Lend(t.Context(), req)
	return s, req, err
}

// revoke takes the session back as cleanup does.
func (a account) revoke(t *testing.T, s session.Session) error {
	t.Helper()
	ledger, err := lease.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	id, err := lease.NewID()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := ledger.Create(t.Context(), lease.Lease{
		ID: id, State: lease.Asked, JobID: 9876543, RoleARN: s.RoleARN, SessionName: s.Name, Revoke: roles.RevokePolicy,
		AskedAt: now, ExpiresAt: s.Expiration, Deadline: now.Add(time.Hour),
	}); err != nil {
		t.Fatal(err)
	}
	r := revoker.New(a.conf, ledger, revoker.Configured(a.conf))
	rep, err := r.Revoke(t.Context(), id)
	if err != nil {
		return err
	}
	if it, _ := rep.Of(id); it.Outcome != revoke.Denied {
		t.Errorf("outcome %q: %v", it.Outcome, it.Err)
	}
	sweep, err := r.Sweep(t.Context(), revoke.SweepOptions{All: true})
	return errors.Join(err, errors.Join(sweep.Errors...))
}

func TestDocumentedPoliciesLendAndRevoke(t *testing.T) {
	a := newAccount(t, lacks{})
	for _, identity := range []string{"", "session"} {
		s, _, err := a.lend(t, identity)
		if err != nil {
			t.Fatalf("source identity %q: %v", identity, err)
		}
		if err := a.revoke(t, s); err != nil {
			t.Fatal(err)
		}
		for _, info := range a.Sessions() {
			if info.Name == s.Name && info.Live() {
				t.Error("the session is still alive")
			}
		}
	}
}

// No action can be left out: the policies are the narrowest.
func TestEveryDocumentedActionIsNeeded(t *testing.T) {
	for _, c := range []struct {
		name     string
		lacks    lacks
		identity string
		names    string // what the error must name
	}{
		{"runner without AssumeRole", lacks{runner: "sts:AssumeRole"}, "", "sts:AssumeRole"},
		{"runner without TagSession", lacks{runner: "sts:TagSession"}, "", "sts:TagSession"},
		{"runner without SetSourceIdentity", lacks{runner: "sts:SetSourceIdentity"}, "session", "sts:SetSourceIdentity"},
		{"trust without AssumeRole", lacks{trust: "sts:AssumeRole"}, "", "sts:AssumeRole"},
		{"trust without TagSession", lacks{trust: "sts:TagSession"}, "", "sts:TagSession"},
		{"trust without SetSourceIdentity", lacks{trust: "sts:SetSourceIdentity"}, "session", "sts:SetSourceIdentity"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := newAccount(t, c.lacks).lend(t, c.identity)
			if err == nil || !strings.Contains(err.Error(), c.names) {
				t.Errorf("lent without it: %v", err)
			}
		})
	}
	for _, c := range []struct {
		name  string
		lacks lacks
		names string
	}{
		{"revoker nobody may assume", lacks{revokerTrust: "sts:AssumeRole"}, "sts:AssumeRole"},
		{"revoker without PutRolePolicy", lacks{revoker: "iam:PutRolePolicy"}, "iam:PutRolePolicy"},
		{"revoker without ListRolePolicies", lacks{revoker: "iam:ListRolePolicies"}, "iam:ListRolePolicies"},
		{"revoker without DeleteRolePolicy", lacks{revoker: "iam:DeleteRolePolicy"}, "iam:DeleteRolePolicy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAccount(t, c.lacks)
			s, _, err := a.lend(t, "")
			if err != nil {
				t.Fatal(err)
			}
			if c.lacks.revoker == "iam:DeleteRolePolicy" {
				// Something that a sweep has to delete, put there by the revoker.
				a.putAs(t, revokerRole, "envrole-aaaaaaaaaaaaa-2020010100", denyNobody)
			}
			if err := a.revoke(t, s); err == nil || !strings.Contains(err.Error(), c.names) {
				t.Errorf("went well without it: %v", err)
			}
		})
	}
}

const denyNobody = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:userid":["*:gl-1-aaaaaaaaaaaaa"]}}}]}`

func (a account) config(c aws.Credentials) aws.Config {
	return aws.Config{
		Region: "eu-central-1", BaseEndpoint: aws.String(a.URL()), RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return c, nil }),
	}
}

func (a account) putAs(t *testing.T, role, name, document string) {
	t.Helper()
	c, err := a.IssueSession(role, "envrole-revoker", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := iam.NewFromConfig(a.config(c)).PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("deploy-shop"), PolicyName: &name, PolicyDocument: &document,
	}); err != nil {
		t.Fatal(err)
	}
}

// The conditions of the trust policies are about what EnvRole really sends: the
// stand-in does not evaluate them, so they are evaluated here.
func TestTrustConditionsFitWhatIsSent(t *testing.T) {
	a := newAccount(t, lacks{})
	s, req, err := a.lend(t, "session")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.revoke(t, s); err != nil {
		t.Fatal(err)
	}
	sent := map[string]string{
		"sts:ExternalId": req.Grant.ExternalID, "sts:RoleSessionName": s.Name, "sts:SourceIdentity": s.SourceIdentity,
	}
	for _, tag := range req.Tags {
		sent["aws:RequestTag/"+tag.Key] = tag.Value
	}
	_, trust, revokerTrust, _, _ := documented(t)
	for _, st := range trust.Statement {
		holds(t, st, sent)
		for _, key := range []string{session.TagProject, session.TagEnvironment} {
			if st.Action[0] != "sts:SetSourceIdentity" && st.Condition["StringEquals"]["aws:RequestTag/"+key] == nil {
				t.Errorf("%s does not ask for %s", st.Sid, key)
			}
		}
		if _, has := st.Condition["StringEquals"]["sts:ExternalId"]; has != (st.Action[0] == "sts:AssumeRole") {
			t.Errorf("%s: sts:ExternalId is a key of sts:AssumeRole alone", st.Sid)
		}
	}
	for _, c := range a.Calls() {
		if c.Action == "AssumeRole" && c.Role == revokerRole {
			for _, st := range revokerTrust.Statement {
				holds(t, st, map[string]string{"sts:RoleSessionName": c.SessionName})
			}
			return
		}
	}
	t.Error("the revoker was never assumed")
}

func holds(t *testing.T, st statement, sent map[string]string) {
	t.Helper()
	for operator, keys := range st.Condition {
		for key, want := range keys {
			match := func(w string) bool {
				return operator == "StringEquals" && w == sent[key] ||
					operator == "StringLike" && roles.Pattern(w).Match(sent[key])
			}
			if !slices.ContainsFunc(want, match) {
				t.Errorf("%s: %s %s wants %q, EnvRole sends %q", st.Sid, operator, key, want, sent[key])
			}
		}
	}
}

// The limits are put on a role that may do anything; its session can then do
// neither what would free it nor become another.
func TestLimitsHoldARoleThatMayDoAnything(t *testing.T) {
	_, _, _, _, limits := documented(t)
	text, err := json.Marshal(struct {
		Version   string
		Statement []map[string]any
	}{limits.Version, plainStatements(limits)})
	if err != nil {
		t.Fatal(err)
	}
	a := newAccount(t, lacks{})
	s, _, err := a.lend(t, "")
	if err != nil {
		t.Fatal(err)
	}
	job := a.config(aws.Credentials{
		AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey.Reveal(), SessionToken: s.SessionToken.Reveal(),
	})
	name, policyName, doc := "deploy-shop", "mine", denyNobody
	free := func() error {
		_, err := iam.NewFromConfig(job).PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: &policyName, PolicyDocument: &doc})
		return err
	}
	if err := free(); err != nil {
		t.Fatalf("without the limits the role cannot do it either: %v", err)
	}
	a.putAs(t, revokerRole, "environment-role-limits", string(text))
	for what, err := range map[string]error{
		"change a policy of its own": free(),
		"assume the revoker": func() error {
			_, err := sts.NewFromConfig(job).AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: aws.String(revokerRole), RoleSessionName: aws.String("envrole-revoker")})
			return err
		}(),
	} {
		var denied smithy.APIError
		if !errors.As(err, &denied) || denied.ErrorCode() != "AccessDenied" || !strings.Contains(denied.ErrorMessage(), "explicit deny") {
			t.Errorf("a session can %s: %v", what, err)
		}
	}
	if code, err := fakeaws.Probe(t.Context(), a.URL(), aws.Credentials{
		AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey.Reveal(), SessionToken: s.SessionToken.Reveal(),
	}); code != "" || err != nil {
		t.Errorf("the limits forbid an ordinary call: %s %v", code, err)
	}
}

func plainStatements(p policy) []map[string]any {
	out := make([]map[string]any, 0, len(p.Statement))
	for _, s := range p.Statement {
		out = append(out, map[string]any{"Sid": s.Sid, "Effect": s.Effect, "Action": s.Action, "Resource": s.Resource})
	}
	return out
}
