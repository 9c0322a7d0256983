package session

import (
	"fmt"
	"net/http"
	"testing"

	"envrole/roles/fault"
)

func callerIs(account string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::%[1]s:user/ci</Arn><UserId>AIDA</UserId><Account>%[1]s</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`, account)
	}
}

func TestTheRunnersOwnAccountIsAskedOfSTS(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
		class  fault.Class
	}{
		{"an account", callerIs("999988887777"), "999988887777", 0},
		{"none", callerIs(""), "", fault.Passing},
		{"no account", callerIs("*"), "", fault.Passing},
		{"an empty answer", func(http.ResponseWriter, *http.Request) {}, "", fault.Passing},
		{"a bad key", fails(403, "InvalidClientTokenId", "x "+baseSecret), "", fault.Permanent},
		{"a broken endpoint", breaks()["is a proxy that forbids"], "", fault.Passing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cleanEnv(t)
			userKeys(t)
			got, err := newSTS(t, tt.answer).base(t).Account(t.Context())
			if got != tt.want || (err == nil) != (tt.want != "") || err != nil && fault.ClassOf(err) != tt.class {
				t.Errorf("account %q, %v of class %s", got, err, fault.ClassOf(err))
			}
			assertNoSecret(t, err)
		})
	}
}
