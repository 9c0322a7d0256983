package iamclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"envrole/roles/fault"
	"envrole/roles/revoke"
)

const role = "arn:aws:iam::111122223333:role/shop/deploy"

func TestIAMIsAskedOnlyInTheRolesOwnAccount(t *testing.T) {
	ok := func(context.Context, string) (aws.CredentialsProvider, error) {
		return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return aws.Credentials{}, nil }), nil
	}
	account := func(a string, err error) func(context.Context) (string, error) {
		return func(context.Context) (string, error) { return a, err }
	}
	down := fault.New(fault.Passing, "ask", "", errors.New("down"), "")
	for name, c := range map[string]struct {
		config Config
		role   string
		class  fault.Class
		ok     bool
	}{
		"revoker of each account":    {Config{RevokerARN: template, Credentials: ok}, role, 0, true},
		"revoker of this account":    {Config{RevokerARN: "arn:aws:iam::111122223333:role/r", Credentials: ok}, role, 0, true},
		"revoker of another account": {Config{RevokerARN: "arn:aws:iam::999999999999:role/r", Credentials: ok}, role, fault.Permanent, false},
		"revoker elsewhere":          {Config{RevokerARN: "arn:aws-cn:iam::111122223333:role/r", Credentials: ok}, role, fault.Permanent, false},
		"no revoker at all":          {Config{RevokerARN: "revoker", Credentials: ok}, role, fault.Permanent, false},
		"no way to assume":           {Config{RevokerARN: template}, role, fault.Internal, false},
		"assuming fails": {Config{RevokerARN: template, Credentials: func(context.Context, string) (aws.CredentialsProvider, error) {
			return nil, down
		}}, role, fault.Passing, false},
		"own account":        {Config{Account: account("111122223333", nil)}, role, 0, true},
		"own, other account": {Config{Account: account("999999999999", nil)}, role, fault.Permanent, false},
		"own, unknown":       {Config{Account: account("", down)}, role, fault.Passing, false},
		"own, not asked":     {Config{}, role, fault.Internal, false},
		"no role":            {Config{RevokerARN: template, Credentials: ok}, "arn:aws:iam::111122223333:role/*", fault.Permanent, false},
	} {
		got, err := New(c.config).Connect(t.Context(), c.role)
		if (err == nil) != c.ok || (got != nil) != c.ok || !c.ok && fault.ClassOf(err) != c.class {
			t.Errorf("%s: %v, %v (%v)", name, got, err, fault.ClassOf(err))
		}
	}
}

func TestARevokerIsAssumedOncePerAccount(t *testing.T) {
	n := 0
	cs := New(Config{RevokerARN: template, Credentials: func(context.Context, string) (aws.CredentialsProvider, error) {
		n++
		return nil, nil //nolint:nilnil // never used
	}})
	for range 3 {
		if _, err := cs.Connect(t.Context(), role); err != nil {
			t.Fatal(err)
		}
	}
	if n != 1 {
		t.Errorf("assumed %d times", n)
	}
}

// client talks to one handler in place of IAM.
func client(t *testing.T, h http.HandlerFunc) revoke.IAM {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	base := config(s.URL)
	base.RetryMaxAttempts = 2
	cs := New(Config{AWS: base, RevokerARN: template, Credentials: func(context.Context, string) (aws.CredentialsProvider, error) {
		return base.Credentials, nil
	}})
	c, err := cs.Connect(t.Context(), role)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func failing(status int, code, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", "Sun, 22 Nov 2026 20:15:00 GMT")
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>r</RequestId></ErrorResponse>`, code, message)
	}
}

func TestEveryWordOfIAMHasItsClass(t *testing.T) {
	for name, c := range map[string]struct {
		h        http.HandlerFunc
		class    fault.Class
		sentinel error
		help     string
		undated  bool
	}{
		"access":        {failing(403, "AccessDenied", "User is not authorized to perform: iam:PutRolePolicy"), fault.Permanent, revoke.ErrAccess, `"iam:DeleteRolePolicy"`, false},
		"full":          {failing(409, "LimitExceeded", "Maximum policy size of 10240 bytes exceeded"), fault.Passing, revoke.ErrLimit, "", false},
		"gone":          {failing(404, "NoSuchEntity", "The role cannot be found"), fault.Permanent, revoke.ErrNotFound, "", false},
		"throttled":     {failing(400, "Throttling", "Rate exceeded"), fault.Passing, nil, "", false},
		"down":          {failing(500, "ServiceFailure", ""), fault.Passing, nil, "", false},
		"changing":      {failing(409, "ConcurrentModification", ""), fault.Passing, nil, "", false},
		"service role":  {failing(400, "UnmodifiableEntity", ""), fault.Permanent, nil, `revoke = "local"`, false},
		"malformed":     {failing(400, "MalformedPolicyDocument", "Syntax errors"), fault.Permanent, nil, "", false},
		"unknown":       {failing(400, "SomethingNew", "x"), fault.Permanent, nil, "", false},
		"token expired": {failing(403, "ExpiredToken", ""), fault.Passing, nil, "", false},
		"signature":     {failing(403, "SignatureDoesNotMatch", "The canonical string was "+token), fault.Permanent, nil, "", false},
		"no AWS":        {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "proxy "+token, http.StatusBadGateway) }, fault.Passing, nil, "", true},
		"no answer":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, fault.Passing, nil, "proxy", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at, err := client(t, c.h).PutRolePolicy(t.Context(), role, "p", "{}")
			if err == nil || fault.ClassOf(err) != c.class || c.sentinel != nil && !errors.Is(err, c.sentinel) || !strings.Contains(fault.HelpOf(err), c.help) {
				t.Errorf("%v, %v, help %q", err, fault.ClassOf(err), fault.HelpOf(err))
			}
			if want := time.Date(2026, 11, 22, 20, 15, 0, 0, time.UTC); !c.undated && !at.Equal(want) {
				t.Errorf("AWS's time = %v", at)
			}
			for _, s := range []string{secret, token} {
				if strings.Contains(fmt.Sprintf("%v %+v %s", err, err, fault.HelpOf(err)), s) {
					t.Errorf("a secret is told: %v", err)
				}
			}
		})
	}
}

func TestAHungIAMEndsWithTheContext(t *testing.T) {
	c := client(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server sees a caller go only once it has read all
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := c.ListRolePolicies(ctx, role); fault.ClassOf(err) != fault.Passing || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, %v", err, fault.ClassOf(err))
	}
}

func TestAFailureToAssumeKeepsItsClassAndHelp(t *testing.T) {
	base := config("http://127.0.0.1:1")
	base.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, fault.New(fault.Permanent, "assume role", "revoker", errors.New("denied"), "add this")
	})
	c, err := New(Config{AWS: base, Account: func(context.Context) (string, error) { return "111122223333", nil }}).Connect(t.Context(), role)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutRolePolicy(t.Context(), role, "p", "{}"); fault.ClassOf(err) != fault.Permanent || fault.HelpOf(err) != "add this" {
		t.Errorf("%v, %v, %q", err, fault.ClassOf(err), fault.HelpOf(err))
	}
}

func TestALongListIsReadToItsEnd(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		name, more := "first", "<IsTruncated>true</IsTruncated><Marker>m</Marker>"
		if r.Form.Get("Marker") == "m" {
			name, more = "second", "<IsTruncated>false</IsTruncated>"
		}
		_, _ = fmt.Fprintf(w, `<ListRolePoliciesResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ListRolePoliciesResult><PolicyNames><member>%s</member></PolicyNames>%s</ListRolePoliciesResult></ListRolePoliciesResponse>`, name, more)
	})
	names, at, err := c.ListRolePolicies(t.Context(), role)
	if err != nil || strings.Join(names, " ") != "first second" || at.IsZero() {
		t.Errorf("%v, %v, %v", names, at, err)
	}
}
