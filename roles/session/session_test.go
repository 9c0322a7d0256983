package session

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

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

func TestASessionShowsItsSecretsNowhere(t *testing.T) {
	s := lentSession()
	for _, v := range []any{s, &s, []any{s}, map[string]any{"s": s}, struct{ S Session }{s}, struct{ s Session }{s}} {
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
}
