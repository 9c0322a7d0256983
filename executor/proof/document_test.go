package proof

import (
	"net/http"
	"testing"

	"envrole/roles/fault"
)

func TestDocumentsComeFromTheInstanceAlone(t *testing.T) {
	var asked []*http.Request
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Clone(r.Context()))
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write([]byte(`{}`))
	}))
	c := client(t, Options{URL: s.URL + "/gitlab"})
	for _, path := range []string{"/keys", s.URL + "/keys", s.URL + "/gitlab/keys?x=1"} {
		if _, err := c.Document(t.Context(), path, "GET keys", "keys"); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if len(asked) != 3 || asked[0].URL.Path != "/gitlab/keys" || asked[0].Header.Get("JOB-TOKEN") != "" || asked[0].Header.Get("Authorization") != "" {
		t.Errorf("%d requests, %+v", len(asked), asked)
	}
	asked = nil
	for _, path := range []string{
		"", "keys", "//evil.example.com/keys", "https://evil.example.com/keys", "http://127.0.0.1:1/keys",
		"https" + s.URL[4:] + "/keys", s.URL + ".evil.example.com/keys", "http://user@" + s.URL[7:] + "/keys", "file:///etc/passwd", "http:keys", "%zz",
	} {
		if _, err := c.Document(t.Context(), path, "GET keys", "keys"); fault.ClassOf(err) != fault.Permanent {
			t.Errorf("%s: %v", path, err)
		}
	}
	if len(asked) > 0 {
		t.Errorf("asked %s", asked[0].URL)
	}
}

// A wrong address is the administrator's to mend, and no decision on the job.
func TestADocumentThatIsNotThereIsTheAdministratorsToMend(t *testing.T) {
	for status, want := range map[int]fault.Class{
		http.StatusUnauthorized: fault.Permanent, http.StatusForbidden: fault.Permanent, http.StatusNotFound: fault.Permanent,
		http.StatusFound: fault.Permanent, http.StatusOK: fault.Permanent, // a page, no JSON
		http.StatusBadGateway: fault.Passing,
	} {
		s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
		}))
		_, err := client(t, Options{URL: s.URL}).Document(t.Context(), "/keys", "GET keys", "keys")
		if fault.ClassOf(err) != want || fault.HelpOf(err) == "" {
			t.Errorf("%d: %s: %v", status, fault.ClassOf(err), err)
		}
	}
}
