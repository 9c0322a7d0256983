package idtoken

import (
	"encoding/base64"
	"testing"

	"envrole/roles/fault"
)

// FuzzVerify: no text is a token without GitLab's signature, and none makes the
// reader fail in another way than by a refusal.
func FuzzVerify(f *testing.F) {
	p := newProvider(f)
	o, _ := p.options(f.TempDir())
	if _, err := New(o).Verify(f.Context(), subject(), secrets(p.token(nil)), 0); err != nil {
		f.Fatal(err)
	}
	f.Add(`{"alg":"RS256","kid":"first"}`, `{"iss":"x","aud":["a",{}],"job_id":"9876543"}`, "AA")
	f.Add(`{"alg":"none"}`, `{}`, "")
	f.Fuzz(func(t *testing.T, header, claims, signature string) {
		enc := base64.RawURLEncoding.EncodeToString
		_, err := New(o).Verify(t.Context(), subject(), secrets(enc([]byte(header))+"."+enc([]byte(claims))+"."+signature, header+"."+claims+"."+signature), 0)
		if class := fault.ClassOf(err); err == nil || class != fault.Refused && class != fault.Passing {
			t.Errorf("%v", err)
		}
	})
}

// FuzzClaims: reading signed claims never panics, and an error leaves nothing.
func FuzzClaims(f *testing.F) {
	f.Add([]byte(`{"iss":"x","aud":"a","job_id":"1","exp":1,"iat":1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, s, err := parseClaims(raw)
		if err == nil && (c.JobID <= 0 || c.ProjectID <= 0 || s.expires.IsZero() || s.issued.IsZero()) {
			t.Errorf("%+v %+v", c, s)
		}
	})
}
