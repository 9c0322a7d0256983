package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"envrole/roles/seal"
)

func lentSession() Session {
	return Session{
		AccessKeyID: lentKey, SecretAccessKey: seal.NewSecret(lentSecret), SessionToken: seal.NewSecret(lentToken),
		Expiration: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), RoleARN: roleARN, AssumedRoleARN: "arn", AssumedRoleID: "AROA:" + jobName,
		Name: jobName, Region: "eu-central-1", SourceIdentity: jobName, PackedPolicySize: 42, TokenUtilization: 12, RequestID: "f00d",
		Duration: 30 * time.Minute, DroppedTags: []string{TagTier}, Warnings: []string{"w"}, ServerTime: time.Date(2030, 1, 2, 2, 4, 5, 0, time.UTC),
	}
}

func TestASessionShowsItsSecretsNowhereButInItsPlainJSON(t *testing.T) {
	s := lentSession()
	for _, v := range []any{s, &s, s.Plain(), []any{s}, map[string]any{"s": s.Plain()}, struct{ P PlainSession }{s.Plain()}} {
		var b bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&b, verb, v)
		}
		slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
		assertHidden(t, b.String())
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	assertHidden(t, string(b))
	if b, err = json.Marshal(s.Plain()); err != nil || !strings.Contains(string(b), lentSecret) {
		t.Errorf("the plain form lacks the secret key, error %v", err)
	}
}

func TestASessionSurvivesItsPlainForm(t *testing.T) {
	// A field that is added to Session and forgotten in Plain is zero after
	// the way there and back.
	s := lentSession()
	for i := range reflect.TypeFor[Session]().NumField() {
		if reflect.ValueOf(s).Field(i).IsZero() {
			t.Errorf("%s is not set in this test", reflect.TypeFor[Session]().Field(i).Name)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s.SecretAccessKey = seal.NewSecret(rapid.StringN(1, 100, -1).Draw(t, "secret"))
		s.SessionToken = seal.NewSecret(rapid.StringN(1, 5000, -1).Draw(t, "token"))
		b, err := json.Marshal(s.Plain())
		if err != nil {
			t.Fatal(err)
		}
		var p PlainSession
		if err = json.Unmarshal(b, &p); err != nil {
			t.Fatal(err)
		}
		if got, err := FromPlain(p); err != nil || !reflect.DeepEqual(got, s) {
			t.Fatalf("%#v, error %v", got, err)
		}
	})
}

func TestStateThatIsNoSessionIsNotReadAsOne(t *testing.T) {
	good := lentSession().Plain()
	for name, edit := range map[string]func(*PlainSession){
		"no version":    func(p *PlainSession) { p.Version = 0 },
		"later version": func(p *PlainSession) { p.Version = 2 },
		"no key":        func(p *PlainSession) { p.AccessKeyID = "" },
		"no secret":     func(p *PlainSession) { p.SecretAccessKey = "" },
		"no token":      func(p *PlainSession) { p.SessionToken = "" },
		"no expiration": func(p *PlainSession) { p.Expiration = time.Time{} },
	} {
		p := good
		edit(&p)
		_, err := FromPlain(p)
		if err == nil {
			t.Errorf("%s: read", name)
		}
		assertNoSecret(t, err)
	}
	redacted, err := json.Marshal(lentSession())
	if err != nil {
		t.Fatal(err)
	}
	var p PlainSession
	if err := json.Unmarshal(redacted, &p); err == nil {
		if _, err = FromPlain(p); err == nil {
			t.Error("a session that was marshalled without Plain is read as one")
		}
	}
}
