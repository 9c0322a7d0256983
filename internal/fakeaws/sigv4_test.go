package fakeaws

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

const identityBody = "Action=GetCallerIdentity&Version=2011-06-15"

// signedIdentity makes a rightly signed GetCallerIdentity request.
func signedIdentity(t *testing.T, s *Server, c aws.Credentials, service string, at time.Time) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/", strings.NewReader(identityBody))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	sum := sha256.Sum256([]byte(identityBody))
	if err := v4.NewSigner().SignHTTP(t.Context(), c, r, hex.EncodeToString(sum[:]), service, "eu-central-1", at); err != nil {
		t.Fatal(err)
	}
	return r
}

// send gives status and error code.
func send(t *testing.T, r *http.Request) (int, string) {
	t.Helper()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.StatusCode, ""
	}
	var e queryError
	if err := xml.Unmarshal(body, &e); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return resp.StatusCode, e.Error.Code
}

func TestASignatureMustFitTheRequest(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy()}})
	session := assume(t, s, runner(t, s), deployRole, "gl-1")
	now := time.Now()
	for name, c := range map[string]struct {
		creds func(aws.Credentials) aws.Credentials
		spoil func(*http.Request)
		code  string
	}{
		"as signed":    {},
		"wrong secret": {creds: func(c aws.Credentials) aws.Credentials { c.SecretAccessKey += "x"; return c }, code: "SignatureDoesNotMatch"},
		"unknown key":  {creds: func(c aws.Credentials) aws.Credentials { c.AccessKeyID = "AKIAUNKNOWN"; return c }, code: "InvalidClientTokenId"},
		"no token":     {creds: func(c aws.Credentials) aws.Credentials { c.SessionToken = ""; return c }, code: "InvalidClientTokenId"},
		"wrong token":  {creds: func(c aws.Credentials) aws.Credentials { c.SessionToken += "x"; return c }, code: "InvalidClientTokenId"},
		"another body": {spoil: func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(identityBody, "2011", "2012", 1)))
		}, code: "SignatureDoesNotMatch"},
		"another date":           {spoil: func(r *http.Request) { r.Header.Set("X-Amz-Date", now.Add(time.Second).UTC().Format(amzTime)) }, code: "SignatureDoesNotMatch"},
		"another host":           {spoil: func(r *http.Request) { r.Host = "sts.amazonaws.com" }, code: "SignatureDoesNotMatch"},
		"a query added":          {spoil: func(r *http.Request) { r.URL.RawQuery = "x=1" }, code: "SignatureDoesNotMatch"},
		"an unsigned amz header": {spoil: func(r *http.Request) { r.Header.Set("X-Amz-Target", "x") }, code: "SignatureDoesNotMatch"},
		"a payload hash not of the body": {spoil: func(r *http.Request) {
			r.Header.Set(headerPayload, unsigned)
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "host;", "host;x-amz-content-sha256;", 1))
		}, code: "SignatureDoesNotMatch"},
		"region changed": {spoil: replaceAuth("eu-central-1", "eu-west-1"), code: "SignatureDoesNotMatch"},
		"no header":      {spoil: func(r *http.Request) { r.Header.Del("Authorization") }, code: "MissingAuthenticationToken"},
		"broken header":  {spoil: replaceAuth("Signature=", "Signature=zz"), code: "IncompleteSignature"},
		"other scheme":   {spoil: replaceAuth("AWS4-HMAC-SHA256", "Basic"), code: "IncompleteSignature"},
		"host unsigned":  {spoil: replaceAuth(";host", ""), code: "SignatureDoesNotMatch"},
	} {
		t.Run(name, func(t *testing.T) {
			creds := session
			if c.creds != nil {
				creds = c.creds(creds)
			}
			r := signedIdentity(t, s, creds, "sts", now)
			if c.spoil != nil {
				c.spoil(r)
			}
			if _, code := send(t, r); code != c.code {
				t.Errorf("have %q, want %q", code, c.code)
			}
		})
	}
}

// The signature is right, but for a body that is not the one that came.
func TestTheSignedPayloadHashMustBeTheBodys(t *testing.T) {
	s := start(t, Options{})
	other := sha256.Sum256([]byte("other"))
	for _, hash := range []string{hex.EncodeToString(other[:]), unsigned} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/", strings.NewReader(identityBody))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(headerPayload, hash)
		if err := v4.NewSigner().SignHTTP(t.Context(), runner(t, s), r, hash, "sts", "eu-central-1", time.Now()); err != nil {
			t.Fatal(err)
		}
		if _, code := send(t, r); code != "SignatureDoesNotMatch" {
			t.Errorf("%s: %q", hash, code)
		}
	}
}

func replaceAuth(from, to string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
	}
}

func TestASignatureIsGoodForItsScopeOnly(t *testing.T) {
	for name, c := range map[string]struct {
		regions []string
		service string
		code    string
	}{
		"any region":      {nil, "sts", ""},
		"its region":      {[]string{"eu-central-1"}, "sts", ""},
		"another region":  {[]string{"us-east-1"}, "sts", "SignatureDoesNotMatch"},
		"another service": {nil, "iam", "SignatureDoesNotMatch"},
	} {
		s := start(t, Options{Regions: c.regions})
		if _, code := send(t, signedIdentity(t, s, runner(t, s), c.service, time.Now())); code != c.code {
			t.Errorf("%s: have %q, want %q", name, code, c.code)
		}
	}
}

func TestSkewLimitsAreAWSs(t *testing.T) {
	base := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	s := start(t, Options{Now: func() time.Time { return base }, Roles: []Role{deploy()}})
	user := runner(t, s)
	for offset, want := range map[time.Duration]string{
		-5 * time.Minute: "", 5 * time.Minute: "",
		-5*time.Minute - time.Second: "SignatureDoesNotMatch", 5*time.Minute + time.Second: "SignatureDoesNotMatch",
	} {
		if _, code := send(t, signedIdentity(t, s, user, "sts", base.Add(offset))); code != want {
			t.Errorf("sts %v: %q, want %q", offset, code, want)
		}
	}
	c, err := s.IssueSession(deployRole, "gl-1", 2*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for offset, want := range map[time.Duration]string{
		-15 * time.Minute: "", -15*time.Minute - time.Second: "RequestTimeTooSkewed", 16 * time.Minute: "RequestTimeTooSkewed",
	} {
		if code, err := probeAt(t.Context(), s.URL(), c, base.Add(offset)); err != nil || code != want {
			t.Errorf("s3 %v: %q, want %q (%v)", offset, code, want, err)
		}
	}
}

// The genuine SDK corrects its clock by the Date header and tries again.
func TestTheSDKLearnsItsSkewFromTheDateHeader(t *testing.T) {
	s := start(t, Options{})
	s.SetClockOffset(-time.Hour)
	conf := config(s, runner(t, s))
	conf.RetryMaxAttempts = 2
	if _, err := sts.NewFromConfig(conf).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}); err != nil {
		t.Fatal(err)
	}
	if calls := s.Calls(); len(calls) != 2 || calls[0].Code != "SignatureDoesNotMatch" || calls[1].Status != http.StatusOK {
		t.Errorf("%+v", calls)
	}
}

func TestASessionExpires(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy()}, MinDuration: time.Second})
	seconds := int32(2)
	out, err := stsAs(s, runner(t, s)).AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: aws.String(deployRole), RoleSessionName: aws.String("gl-1"), DurationSeconds: &seconds,
	})
	if err != nil {
		t.Fatal(err)
	}
	c := aws.Credentials{AccessKeyID: *out.Credentials.AccessKeyId, SecretAccessKey: *out.Credentials.SecretAccessKey, SessionToken: *out.Credentials.SessionToken}
	wantProbe(t, s, c, "")
	s.SetClockOffset(2 * time.Second)
	wantProbe(t, s, c, "ExpiredToken")
	_, err = stsAs(s, c).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	wantCode(t, err, "ExpiredToken", "The security token included in the request is expired")
	if i := s.Sessions()[0]; !i.Expired || i.Denied || i.Live() {
		t.Errorf("%+v", i)
	}
}
