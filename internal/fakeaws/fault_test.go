package fakeaws

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

func TestFaultsApplyToTheirActionAndAreUsedUp(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy()}})
	client := stsAs(s, runner(t, s))
	s.Push(Fault{Action: "AssumeRole", Times: 2, Status: http.StatusBadRequest, Code: "Throttling", Message: "Rate exceeded"})
	if _, err := client.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := client.AssumeRole(t.Context(), request(nil))
		wantCode(t, err, "Throttling", "Rate exceeded")
	}
	if _, err := client.AssumeRole(t.Context(), request(nil)); err != nil {
		t.Fatal(err)
	}
	s.Push(Fault{Match: "gl-9", Status: 500, Code: "InternalFailure", Times: -1})
	if _, err := client.AssumeRole(t.Context(), request(nil)); err != nil {
		t.Errorf("another session's fault: %v", err)
	}
	_, err := client.AssumeRole(t.Context(), request(func(i *sts.AssumeRoleInput) { i.RoleSessionName = aws.String("gl-9-x") }))
	wantCode(t, err, "InternalFailure", "")
	s.ClearFaults()
	if n := len(s.Sessions()); n != 2 {
		t.Errorf("%d sessions", n)
	}
}

// The session exists although nobody saw the answer.
func TestDropAfterDoesTheWork(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy()}})
	s.Push(Fault{Action: "AssumeRole", DropAfter: true})
	if _, err := stsAs(s, runner(t, s)).AssumeRole(t.Context(), request(nil)); err == nil {
		t.Fatal("an answer came")
	}
	if got := s.Sessions(); len(got) != 1 || got[0].Name != "gl-1-abc" || !got[0].Live() {
		t.Errorf("%+v", got)
	}
	if c := s.Calls()[0]; c.Status != http.StatusOK || c.Caller != DefaultUser || c.Role != deployRole || c.SessionName != "gl-1-abc" || c.Region != "eu-central-1" {
		t.Errorf("%+v", c)
	}
}

func TestAHangEndsWithTheClient(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy()}})
	s.Push(Fault{Hang: true}, Fault{Hang: true, DropAfter: true}, Fault{Hang: true})
	client := stsAs(s, runner(t, s))
	done := make(chan error, 1)
	for n, sessions := range []int{0, 1} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := client.AssumeRole(ctx, request(nil))
			done <- err
		}()
		seen := 0
		_, err := s.WaitFor(t.Context(), func(c Call) bool {
			seen++
			return seen > n && (n == 0 || c.Status == http.StatusOK)
		})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if got := len(s.Sessions()); got != sessions {
			t.Errorf("%d sessions, want %d", got, sessions)
		}
	}
	go func() {
		_, err := client.AssumeRole(t.Context(), request(nil))
		done <- err
	}()
	if _, err := s.WaitFor(t.Context(), func(Call) bool { return s.Count("AssumeRole") == 3 }); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	if err := <-done; err == nil {
		t.Error("a closed server answered")
	}
}

// A client that dies while STS works does not undo the session.
func TestADelayedCallIsDoneThoughTheClientLeft(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy()}})
	s.Push(Fault{Delay: 20 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { _, _ = stsAs(s, runner(t, s)).AssumeRole(ctx, request(nil)) }()
	if _, err := s.WaitFor(t.Context(), func(Call) bool { return true }); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := s.WaitFor(t.Context(), func(c Call) bool { return c.Status == http.StatusOK }); err != nil {
		t.Fatal(err)
	}
	if len(s.Sessions()) != 1 {
		t.Error("no session")
	}
}

// What a test does while a call is under way has happened before the work is done.
func TestAHeldCallWaitsForItsRelease(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy()}})
	release := make(chan struct{})
	s.Push(Fault{Action: "AssumeRole", Hold: release})
	client := stsAs(s, runner(t, s))
	done := make(chan error, 1)
	go func() {
		_, err := client.AssumeRole(t.Context(), request(nil))
		done <- err
	}()
	if _, err := s.WaitFor(t.Context(), func(Call) bool { return true }); err != nil {
		t.Fatal(err)
	}
	// Another call goes its way; the held one has done nothing.
	if _, err := client.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}); err != nil {
		t.Fatal(err)
	}
	if c := s.Calls()[0]; c.Status != 0 || len(s.Sessions()) != 0 {
		t.Errorf("%+v, %d sessions", c, len(s.Sessions()))
	}
	close(release)
	if err := <-done; err != nil || len(s.Sessions()) != 1 {
		t.Errorf("%v, %d sessions", err, len(s.Sessions()))
	}
}

func TestTheControlEndpointNeedsItsToken(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy()}})
	ask := func(method, path, token, body string) (int, []byte) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL()+controlPrefix+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := (&http.Client{Transport: &http.Transport{}}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		var raw json.RawMessage
		_ = json.NewDecoder(resp.Body).Decode(&raw)
		return resp.StatusCode, raw
	}
	for _, token := range []string{"", "wrong", s.ControlToken()[1:]} {
		if status, _ := ask(http.MethodGet, "calls", token, ""); status != http.StatusUnauthorized {
			t.Errorf("%q: %d", token, status)
		}
	}
	if status, _ := ask(http.MethodPost, "faults", s.ControlToken(), `{"Action":"AssumeRole","Status":503,"Code":"ServiceUnavailable","Delay":"1ms"}`); status != http.StatusNoContent {
		t.Fatal(status)
	}
	if status, _ := ask(http.MethodPost, "faults", s.ControlToken(), `{"Akcion":"x"}`); status != http.StatusBadRequest {
		t.Error(status)
	}
	client := stsAs(s, runner(t, s))
	_, err := client.AssumeRole(t.Context(), request(nil))
	wantCode(t, err, "ServiceUnavailable", "")
	if _, err := client.AssumeRole(t.Context(), request(nil)); err != nil {
		t.Fatal(err)
	}
	_, raw := ask(http.MethodGet, "sessions", s.ControlToken(), "")
	var sessions []SessionInfo
	if err := json.Unmarshal(raw, &sessions); err != nil || len(sessions) != 1 || sessions[0].Name != "gl-1-abc" {
		t.Errorf("%s", raw)
	}
	_, raw = ask(http.MethodGet, "calls", s.ControlToken(), "")
	var calls []Call
	if err := json.Unmarshal(raw, &calls); err != nil || len(calls) != 2 || calls[0].Code != "ServiceUnavailable" {
		t.Errorf("%s", raw)
	}
	if status, _ := ask(http.MethodPost, "clock", s.ControlToken(), `{"Offset":"2h"}`); status != http.StatusNoContent || !s.Sessions()[0].Expired {
		t.Error("the clock did not move")
	}
}

func TestTwoHundredClientsAtOnce(t *testing.T) {
	s := start(t, Options{Roles: []Role{deploy()}})
	c := runner(t, s)
	client := stsAs(s, c)
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if _, err := client.AssumeRole(t.Context(), request(nil)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	keys := map[string]bool{}
	for _, i := range s.Sessions() {
		keys[i.AccessKeyID] = true
	}
	if len(keys) != 200 || len(s.Calls()) != 200 {
		t.Errorf("%d keys, %d calls", len(keys), len(s.Calls()))
	}
}
