//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"envrole/internal/fakerunner"
	"envrole/roles/lease"
)

// motoAccount is the account of the roles in the payloads' rules.
const motoAccount = "111122223333"

// moto is a moto_server: an independent reading of STS and IAM. It stores deny
// policies but ignores their condition, so that one denies the whole role.
type moto struct {
	t    *testing.T
	url  string
	user aws.Credentials // may do everything
}

// startMoto starts moto_server on a free port of loopback, with the roles and
// the revoker that an administrator makes.
func startMoto(t *testing.T) *moto {
	t.Helper()
	program := realPart(t, "moto_server")
	m := &moto{t: t, url: "http://" + freeAddress(t), user: aws.Credentials{AccessKeyID: "AKIASETUP", SecretAccessKey: "setup"}}
	u, err := url.Parse(m.url)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(program, "-H", u.Hostname(), "-p", u.Port())
	cmd.Env = append(os.Environ(), "MOTO_ACCOUNT_ID="+motoAccount)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	deadline := time.Now().Add(time.Minute)
	for {
		resp, err := http.Get(m.url + "/moto-api/")
		if err == nil {
			_ = resp.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("moto_server does not answer: %v\n%s", err, log.String())
		}
		time.Sleep(50 * time.Millisecond)
	}
	m.makeRoles()
	return m
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (m *moto) iam(c aws.Credentials) *iam.Client {
	return iam.New(iam.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(m.url), RetryMaxAttempts: 1,
		Credentials: credentials.StaticCredentialsProvider{Value: c},
	})
}

const mayDoAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

func (m *moto) makeRoles() {
	m.t.Helper()
	ctx, c := m.t.Context(), m.iam(m.user)
	must := func(what string, err error) {
		if err != nil {
			m.t.Fatalf("moto: %s: %v", what, err)
		}
	}
	_, err := c.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("runner")})
	must("create the user", err)
	_, err = c.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("runner"), PolicyName: aws.String("all"), PolicyDocument: aws.String(mayDoAll)})
	must("allow the user", err)
	key, err := c.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("runner")})
	must("make an access key", err)
	m.user = aws.Credentials{AccessKeyID: *key.AccessKey.AccessKeyId, SecretAccessKey: *key.AccessKey.SecretAccessKey}
	trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:user/runner"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`, motoAccount)
	for _, arn := range []string{deployRole, revokerRole} {
		name := aws.String(arn[strings.LastIndex(arn, "/")+1:])
		_, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: &trust})
		must("create role "+arn, err)
		_, err = c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("work"), PolicyDocument: aws.String(mayDoAll)})
		must("allow role "+arn, err)
	}
}

// denies is the deny policies stored on the role, by name.
func (m *moto) denies() map[string]string {
	m.t.Helper()
	c, role := m.iam(m.user), aws.String("deploy-shop")
	list, err := c.ListRolePolicies(m.t.Context(), &iam.ListRolePoliciesInput{RoleName: role})
	if err != nil {
		m.t.Fatal(err)
	}
	out := map[string]string{}
	for _, name := range list.PolicyNames {
		if name == "work" {
			continue
		}
		p, err := c.GetRolePolicy(m.t.Context(), &iam.GetRolePolicyInput{RoleName: role, PolicyName: &name})
		if err != nil {
			m.t.Fatal(err)
		}
		if out[name], err = url.PathUnescape(*p.PolicyDocument); err != nil {
			m.t.Fatal(err)
		}
	}
	return out
}

// enforce makes moto judge requests by its policies, or not.
func (m *moto) enforce(on bool) {
	m.t.Helper()
	count := "inf"
	if on {
		count = "0"
	}
	resp, err := http.Post(m.url+"/moto-api/reset-auth", "text/plain", strings.NewReader(count))
	if err != nil {
		m.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		m.t.Fatalf("moto: reset-auth: %s", resp.Status)
	}
}

// answers keeps the body of the last answer: moto wraps its refusals in a form
// that the SDK does not read.
type answers struct{ last string }

func (a *answers) Do(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	a.last, resp.Body = string(b), io.NopCloser(bytes.NewReader(b))
	return resp, err
}

// ordinary makes an ordinary call with credentials and gives AWS's error code.
func (m *moto) ordinary(c aws.Credentials) string {
	m.t.Helper()
	var seen answers
	_, err := m.iam(c).ListRoles(m.t.Context(), &iam.ListRolesInput{MaxItems: aws.Int32(1)}, func(o *iam.Options) { o.HTTPClient = &seen })
	if err == nil {
		return ""
	}
	_, rest, _ := strings.Cut(seen.last, "<Code>")
	code, _, found := strings.Cut(rest, "</Code>")
	if !found {
		m.t.Fatalf("%v: %s", err, seen.last)
	}
	return code
}

// world is a host whose AWS is this moto.
func (m *moto) world() *world {
	w := newWorld(m.t, productionRule)
	w.runner.Environ = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "LANG=C.UTF-8", "AWS_ENDPOINT_URL=" + m.url, "AWS_REGION=eu-central-1",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1",
	}, "AWS_ACCESS_KEY_ID="+m.user.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+m.user.SecretAccessKey)
	m.t.Cleanup(func() {
		if n := len(w.aws.Calls()); n > 0 {
			m.t.Errorf("%d calls went to another AWS", n)
		}
	})
	return w
}

// documents is what the policies on the role must be, by the ledger.
func documents(w *world) map[string]string {
	writers, _ := filepath.Glob(filepath.Join(w.state, "writers", "*"))
	if len(writers) != 1 {
		w.t.Fatalf("writers: %v", writers)
	}
	writer, err := os.ReadFile(writers[0])
	if err != nil {
		w.t.Fatal(err)
	}
	ids := map[string][]string{}
	for _, le := range w.leases() {
		if le.State != lease.Denied {
			w.t.Errorf("lease of %s is %s", le.SessionName, le.State)
		}
		window := le.ExpiresAt.Add(15 * time.Minute).UTC().Format("2006010215")
		name := "envrole-" + strings.TrimSpace(string(writer)) + "-" + window
		ids[name] = append(ids[name], "*:"+le.SessionName)
	}
	out := map[string]string{}
	for name, list := range ids {
		slices.Sort(list)
		b, err := json.Marshal(list)
		if err != nil {
			w.t.Fatal(err)
		}
		out[name] = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:userid":` + string(b) + `}}}]}`
	}
	return out
}

// same compares policies by name and text.
func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, doc := range want {
		if got[name] != doc {
			t.Errorf("policy %s is\n%s\nwant\n%s", name, got[name], doc)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d policies, want %d: %v", len(got), len(want), got)
	}
}

func TestMotoAJobUsesItsRoleAndTheDenyIsStored(t *testing.T) {
	realPart(t, "aws")
	m := startMoto(t)
	w := m.world()
	// The aws command finds the session by itself; only the address is ours.
	script := "export AWS_ENDPOINT_URL=" + m.url + "; aws sts get-caller-identity --output json; aws iam list-roles --query 'length(Roles)'"
	res := w.run(w.payload("honest_production"), script)
	if res.State != fakerunner.Success {
		t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
	leases := w.leases()
	if len(leases) != 1 {
		t.Fatalf("leases: %+v", leases)
	}
	if want := "arn:aws:sts::" + motoAccount + ":assumed-role/deploy-shop/" + leases[0].SessionName; !strings.Contains(res.Log, want) {
		t.Errorf("get-caller-identity does not say %s:\n%s", want, res.Log)
	}
	same(t, m.denies(), documents(w))
	w.nothingLeft()

	// A second job joins the same document (or the next hour's, at the turn of one).
	if res := w.run(w.payloadAs("honest_production", 5150), "true"); res.State != fakerunner.Success {
		t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
	if n := len(w.leases()); n != 2 {
		t.Errorf("%d leases, want 2", n)
	}
	after := m.denies()
	same(t, after, documents(w))

	// A sweep forgets nothing before its time.
	if out, code := w.envrole("sweep"); code != 0 {
		t.Errorf("sweep: %d\n%s", code, out)
	}
	same(t, m.denies(), after)
	if n := len(w.leases()); n != 2 {
		t.Errorf("%d leases after the sweep, want 2", n)
	}
}

// The session works by moto's own judgement while the job runs, and is refused
// after it, whoever still holds its credentials.
func TestMotoRefusesTheSessionAfterItsJob(t *testing.T) {
	m := startMoto(t)
	w := m.world()
	stolen := filepath.Join(w.dir, "stolen")
	var kept aws.Credentials
	w.runner.BeforeCleanup = func() {
		b, err := os.ReadFile(stolen)
		if err != nil {
			t.Fatal(err)
		}
		f := strings.Fields(string(b))
		if len(f) != 3 {
			t.Fatalf("the job had %d of 3 credentials", len(f))
		}
		kept = aws.Credentials{AccessKeyID: f[0], SecretAccessKey: f[1], SessionToken: f[2]}
		m.enforce(true)
		defer m.enforce(false)
		if code := m.ordinary(kept); code != "" {
			t.Errorf("while the job ran: %s", code)
		}
	}
	res := w.run(w.payload("honest_production"), `echo "$AWS_ACCESS_KEY_ID $AWS_SECRET_ACCESS_KEY $AWS_SESSION_TOKEN" > `+stolen)
	if res.State != fakerunner.Success {
		t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
	m.enforce(true)
	defer m.enforce(false)
	if code := m.ordinary(kept); code != "AccessDenied" {
		t.Errorf("after cleanup: %q, want AccessDenied", code)
	}
	if code := m.ordinary(m.user); code != "" {
		t.Errorf("the runner itself: %s", code)
	}
}

// The driver's own calls pass where moto judges each of them: signatures,
// trust policy, permissions.
func TestMotoJudgesTheDriversOwnCalls(t *testing.T) {
	m := startMoto(t)
	w := m.world()
	m.enforce(true)
	res := w.run(w.payload("honest_production"), `echo "key $AWS_ACCESS_KEY_ID"`)
	m.enforce(false)
	if res.State != fakerunner.Success || !strings.Contains(res.Log, "key ASIA") {
		t.Fatalf("%s: %v\n%s\n%s", res.State, res.Err, res.Log, res.Cleanup)
	}
	same(t, m.denies(), documents(w))
}

// The role is deleted while its job runs: its sessions are gone with it, and
// nothing is left to revoke.
func TestMotoARoleDeletedInMidJob(t *testing.T) {
	m := startMoto(t)
	w := m.world()
	w.runner.BeforeCleanup = func() {
		ctx, c, role := context.Background(), m.iam(m.user), aws.String("deploy-shop")
		_, err1 := c.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: role, PolicyName: aws.String("work")})
		_, err2 := c.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: role})
		var gone *types.NoSuchEntityException
		if err := errors.Join(err1, err2); err != nil && !errors.As(err, &gone) {
			t.Fatal(err)
		}
	}
	if res := w.run(w.payload("honest_production"), "true"); res.State != fakerunner.Success {
		t.Fatalf("%s: %v\n%s", res.State, res.Err, res.Log)
	}
	leases := w.leases()
	if len(leases) != 1 || leases[0].State != lease.Denied || leases[0].Note != lease.NoteRoleGone {
		t.Errorf("ledger: %+v", leases)
	}
}
