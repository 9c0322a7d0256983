package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"envrole/roles"
)

// The credentials of these tests. Their values are searched for in every error.
const (
	baseKey     = "AKIARUNNERRUNNER0001"
	baseSecret  = "runner/secret+key/that+nobody/may/see0001"
	baseToken   = "RUNNERTOKEN//that+nobody/may/see=="
	lentKey     = "ASIALENTLENTLENT0001"
	lentSecret  = "lent/secret+key/that+nobody/may/see/00001"
	lentToken   = "LENTTOKEN//that+nobody/may/see=="
	externalID  = "external-id-of-the-rule-0001"
	roleARN     = "arn:aws:iam::111122223333:role/ci/deploy-shop"
	hubARN      = "arn:aws:iam::444455556666:role/hub"
	jobName     = "gl-4711-abcdefghij234"
	stsTimeForm = "2006-01-02T15:04:05Z"
)

// cleanEnv leaves the SDK nothing of the machine's own: no files, no profile,
// no metadata service.
func cleanEnv(t *testing.T) {
	t.Helper()
	for _, kv := range os.Environ() {
		if k, _, _ := strings.Cut(kv, "="); strings.HasPrefix(k, "AWS_") {
			t.Setenv(k, "")
		}
	}
	for _, k := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(k, "")
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
}

func userKeys(t *testing.T) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", baseKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", baseSecret)
}

// call is one AssumeRole request as the server saw it.
type call struct {
	form   url.Values
	header http.Header
	host   string
}

func (c call) get(key string) string { return c.form.Get(key) }

// key is the access key id that signed the call.
func (c call) key() string {
	_, rest, _ := strings.Cut(c.header.Get("Authorization"), "Credential=")
	id, _, _ := strings.Cut(rest, "/")
	return id
}

// tags gives the tags of the call, in order.
func (c call) tags() (keys []string, values map[string]string) {
	values = map[string]string{}
	for i := 1; ; i++ {
		k := fmt.Sprintf("Tags.member.%d.", i)
		if !c.form.Has(k + "Key") {
			return keys, values
		}
		keys = append(keys, c.get(k+"Key"))
		values[c.get(k+"Key")] = c.get(k + "Value")
	}
}

// stsServer speaks STS's query protocol. Each call takes the next answer; the
// last one stays.
type stsServer struct {
	*httptest.Server
	mu      sync.Mutex
	calls   []call
	answers []http.HandlerFunc
}

func newSTS(t *testing.T, answers ...http.HandlerFunc) *stsServer {
	t.Helper()
	s := &stsServer{answers: answers}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Errorf("request body: %v", err)
		}
		s.mu.Lock()
		s.calls = append(s.calls, call{form: r.PostForm, header: r.Header.Clone(), host: r.Host})
		answer := s.answers[0]
		if len(s.answers) > 1 {
			s.answers = s.answers[1:]
		}
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *stsServer) seen() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]call(nil), s.calls...)
}

// base loads the SDK against the server, with limits short enough for tests.
func (s *stsServer) base(t *testing.T) *Base {
	t.Helper()
	t.Setenv("AWS_ENDPOINT_URL", s.URL)
	b, err := loadBase(t.Context(), "eu-central-1", testLimits())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testLimits() limits {
	return limits{
		connect: 5 * time.Second, attempt: 5 * time.Second,
		attempts: 3, backoff: time.Millisecond, lend: 30 * time.Second,
	}
}

// lends answers as STS does, for whatever name and role was asked.
func lends(w http.ResponseWriter, r *http.Request) { lendsWith(nil)(w, r) }

// lendsWith changes the answer's text before it is sent.
func lendsWith(edit func(string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		role := r.PostForm.Get("RoleArn")
		name, _ := roleName(role)
		body := fmt.Sprintf(`<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleResult>
<AssumedRoleUser><Arn>arn:aws:sts::111122223333:assumed-role/%[1]s/%[2]s</Arn><AssumedRoleId>AROA1234567890EXAMPLE:%[2]s</AssumedRoleId></AssumedRoleUser>
<Credentials><AccessKeyId>%[3]s</AccessKeyId><SecretAccessKey>%[4]s</SecretAccessKey><SessionToken>%[5]s</SessionToken><Expiration>%[6]s</Expiration></Credentials>
<PackedPolicySize>42</PackedPolicySize>
<SourceIdentity>%[7]s</SourceIdentity>
</AssumeRoleResult>
</AssumeRoleResponse>`, name, r.PostForm.Get("RoleSessionName"), lentKey, lentSecret, lentToken,
			time.Now().Add(time.Hour).UTC().Format(stsTimeForm), r.PostForm.Get("SourceIdentity"))
		if edit != nil {
			body = edit(body)
		}
		w.Header().Set("Content-Type", "text/xml")
		w.Header().Set("X-Amzn-Requestid", "c6104cbe-af31-11e0-8154-cbc7ccf896c7")
		_, _ = w.Write([]byte(body))
	}
}

// fails answers with an STS error.
func fails(status int, code, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>f00d</RequestId></ErrorResponse>`,
			xmlText(code), xmlText(message))
	}
}

func xmlText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

func denied(action string) http.HandlerFunc {
	return fails(403, "AccessDenied", "User: arn:aws:sts::999988887777:assumed-role/runner/i-0123456789 is not authorized to perform: "+action+" on resource: "+roleARN)
}

func facts() roles.Facts {
	return roles.Facts{
		JobID: 4711, ProjectID: 42, PipelineID: 815, UserID: 7,
		ProjectPath:  roles.Fact{Value: "acme/shop/web", From: roles.Payload},
		Ref:          roles.Fact{Value: "release/1.0", From: roles.Payload},
		RefProtected: true,
		Environment:  roles.Fact{Value: "production/eu", From: roles.GitLabAPI},
		Tier:         roles.Fact{Value: "production", From: roles.GitLabAPI},
		UserLogin:    roles.Fact{Value: "dana", From: roles.GitLabAPI},
	}
}

func request(t *testing.T, edit func(*roles.Grant)) Request {
	t.Helper()
	tags, err := Tags(facts())
	if err != nil {
		t.Fatal(err)
	}
	r := Request{Grant: roles.Grant{RoleARN: roleARN, Duration: time.Hour, SessionTags: roles.TagsRequired}, Name: jobName, Tags: tags}
	if edit != nil {
		edit(&r.Grant)
	}
	return r
}

// assertNoSecret looks for every secret of the tests in every way to show err
// and everything in its chain.
func assertNoSecret(t *testing.T, err error) {
	t.Helper()
	var shown strings.Builder
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			fmt.Fprintf(&shown, verb+"\n", e)
		}
		if b, jerr := json.Marshal(e); jerr == nil {
			shown.Write(b)
		}
	}
	assertHidden(t, shown.String())
}

func assertHidden(t *testing.T, shown string) {
	t.Helper()
	for _, secret := range []string{baseSecret, baseToken, lentSecret, lentToken} {
		for _, form := range []string{secret, url.QueryEscape(secret), secret[:16]} {
			if strings.Contains(shown, form) {
				t.Errorf("a secret is shown (%q) in:\n%s", form, shown)
			}
		}
	}
}

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
