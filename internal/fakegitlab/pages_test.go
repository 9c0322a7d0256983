package fakegitlab

import (
	"fmt"
	"net/http"
	"testing"
)

func TestPagesAreServedBesideTheAPI(t *testing.T) {
	s, err := Start(Options{Prefix: "/gitlab"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.SetPages(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.URL.Path) }))
	for path, want := range map[string]int{
		"/.well-known/openid-configuration": http.StatusOK,
		"/api/v4/job/allowed_agents":        http.StatusUnauthorized,
		"/api/v4/elsewhere":                 http.StatusNotFound,
	} {
		resp, err := http.DefaultClient.Get(s.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}
