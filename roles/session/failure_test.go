package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"envrole/roles"
	"envrole/roles/fault"
)

func TestEveryWordOfSTSHasItsClass(t *testing.T) {
	for _, tt := range []struct {
		code   string
		status int
		class  fault.Class
		calls  int
		help   string
	}{
		{"AccessDenied", 403, fault.Permanent, 1, "trust policy of " + roleARN},
		{"ValidationError", 400, fault.Permanent, 1, "correct in the rule"},
		{"MalformedPolicyDocument", 400, fault.Permanent, 1, "Correct policy in the rule"},
		{"PackedPolicyTooLarge", 400, fault.Permanent, 1, `session_tags = "best-effort"`},
		{"RegionDisabledException", 403, fault.Permanent, 1, "not active in eu-central-1"},
		{"InvalidParameterValue", 400, fault.Permanent, 1, ""},
		{"SomethingNewFromAWS", 400, fault.Permanent, 1, ""},
		{"InvalidClientTokenId", 403, fault.Permanent, 2, "does not know the runner's own access key"},
		{"SignatureDoesNotMatch", 403, fault.Permanent, 1, "secret access key"},
		{"IncompleteSignature", 400, fault.Permanent, 1, ""},
		{"ExpiredToken", 403, fault.Passing, 2, "have expired"},
		{"ExpiredTokenException", 400, fault.Passing, 2, "have expired"},
		{"RequestExpired", 400, fault.Passing, 1, "clock"},
		{"IDPCommunicationError", 400, fault.Passing, 3, ""},
		{"Throttling", 400, fault.Passing, 3, ""},
		{"ThrottlingException", 400, fault.Passing, 3, ""},
		{"RequestLimitExceeded", 503, fault.Passing, 3, ""},
		{"TooManyRequests", 429, fault.Passing, 1, ""},
		{"ServiceUnavailable", 503, fault.Passing, 3, ""},
		{"InternalFailure", 500, fault.Passing, 3, ""},
		{"WhoKnows", 502, fault.Passing, 3, ""},
	} {
		t.Run(tt.code, func(t *testing.T) {
			cleanEnv(t)
			userKeys(t)
			srv := newSTS(t, fails(tt.status, tt.code, "AWS's own words."))
			_, err := srv.base(t).Lend(t.Context(), request(t, nil))
			if got := fault.ClassOf(err); err == nil || got != tt.class {
				t.Fatalf("class %s of %v, want %s", got, err, tt.class)
			}
			if n := len(srv.seen()); n != tt.calls {
				t.Errorf("%d calls, want %d", n, tt.calls)
			}
			if !strings.Contains(err.Error(), tt.code) || !strings.Contains(err.Error(), roleARN) {
				t.Errorf("%q names neither code nor role", err)
			}
			if !strings.Contains(fault.HelpOf(err), tt.help) {
				t.Errorf("help %q lacks %q", fault.HelpOf(err), tt.help)
			}
			assertNoSecret(t, err)
		})
	}
}

// breaks are servers that do not behave. Each one may say what it knows: the
// request with the runner's token, and the session it made.
func breaks() map[string]http.HandlerFunc {
	leak := func(r *http.Request) string {
		return fmt.Sprint(r.Header, r.PostForm, baseSecret, " ", baseToken, " ", lentSecret, " ", lentToken)
	}
	return map[string]http.HandlerFunc{
		"hangs": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"resets": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			_ = conn.(*net.TCPConn).SetLinger(0)
			_ = conn.Close()
		},
		"closes": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"says nothing": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
		},
		"truncates":           lendsWith(func(body string) string { head, _, _ := strings.Cut(body, "</SessionToken>"); return head }),
		"truncates the frame": truncatedFrame,
		"sends a bad entity":  lendsWith(func(body string) string { return strings.Replace(body, lentSecret, "&"+lentSecret, 1) }),
		"sends a bad time":    lendsWith(func(body string) string { return strings.Replace(body, "<Expiration>", "<Expiration>"+lentSecret, 1) }),
		"sends garbage":       func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(leak(r))) },
		"sends JSON": func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, "{%q:%q}", "token", leak(r))
		},
		"sends too much": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("<AssumeRoleResponse><AssumeRoleResult><Padding>"))
			chunk := []byte(strings.Repeat("x", 64<<10))
			for range 64 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
			_, _ = w.Write([]byte("</Padding></AssumeRoleResult></AssumeRoleResponse>"))
		},
		"is a proxy that forbids": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte("<html>forbidden " + leak(r)))
		},
		"is a broken proxy": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte("<html>bad gateway " + leak(r)))
		},
		"answers 503 and when to come back": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		},
	}
}

func truncatedFrame(w http.ResponseWriter, r *http.Request) {
	rec := httptest.NewRecorder()
	lends(rec, r)
	w.Header().Set("Content-Length", fmt.Sprint(rec.Body.Len()))
	_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
}

func TestABrokenEndpointIsAPassingFailureAndLeaksNothing(t *testing.T) {
	for name, handler := range breaks() {
		t.Run(name, func(t *testing.T) {
			cleanEnv(t)
			userKeys(t)
			t.Setenv("AWS_SESSION_TOKEN", baseToken)
			srv := newSTS(t, handler)
			b := srv.base(t)
			if name == "hangs" {
				b = hasty(t, 100*time.Millisecond)
			}
			s, err := b.Lend(t.Context(), request(t, nil))
			if err == nil || s.AccessKeyID != "" {
				t.Fatalf("lent %+v", s)
			}
			if got := fault.ClassOf(err); got != fault.Passing {
				t.Errorf("class %s of %v", got, err)
			}
			if n := len(srv.seen()); n > 3 {
				t.Errorf("%d attempts, want at most 3", n)
			}
			assertNoSecret(t, err)
			assertHidden(t, fault.HelpOf(err))
		})
	}
}

// hasty gives up an attempt soon.
func hasty(t *testing.T, attempt time.Duration) *Base {
	t.Helper()
	lim := testLimits()
	lim.attempt = attempt
	b, err := loadBase(t.Context(), "eu-central-1", lim)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAHungAttemptIsFollowedByAnother(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	srv := newSTS(t, breaks()["hangs"], lends)
	srv.base(t)
	// The second one must be answered in that time, also by a machine that is busy.
	if _, err := hasty(t, 2*time.Second).Lend(t.Context(), request(t, nil)); err != nil {
		t.Fatal(err)
	}
}

func TestATransientFailureIsRetried(t *testing.T) {
	for _, name := range []string{"resets", "closes", "is a broken proxy", "answers 503 and when to come back"} {
		t.Run(name, func(t *testing.T) {
			cleanEnv(t)
			userKeys(t)
			srv := newSTS(t, breaks()[name], breaks()[name], lends)
			if _, err := srv.base(t).Lend(t.Context(), request(t, nil)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// STS may have made a session although the connection broke. A refusal of the
// second try does not undo it: the failure must not look as if there were none.
func TestARefusalAfterALostAnswerIsNotPermanent(t *testing.T) {
	refusal := denied("sts:AssumeRole")
	for _, tt := range []struct {
		name    string
		answers []http.HandlerFunc
		class   fault.Class
	}{
		{"refused at once", []http.HandlerFunc{refusal}, fault.Permanent},
		{"throttled before", []http.HandlerFunc{fails(400, "Throttling", "slow"), refusal}, fault.Permanent},
		{"reset before", []http.HandlerFunc{breaks()["resets"], refusal}, fault.Passing},
		{"failed before", []http.HandlerFunc{fails(500, "InternalFailure", "x"), refusal}, fault.Passing},
		{"lost, then retried without tags", []http.HandlerFunc{breaks()["closes"], fails(400, "PackedPolicyTooLarge", "x"), refusal}, fault.Passing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cleanEnv(t)
			userKeys(t)
			_, err := newSTS(t, tt.answers...).base(t).Lend(t.Context(), request(t, func(g *roles.Grant) { g.SessionTags = roles.TagsBestEffort }))
			if err == nil || fault.ClassOf(err) != tt.class || !strings.Contains(err.Error(), "AccessDenied") {
				t.Errorf("%v of class %s", err, fault.ClassOf(err))
			}
		})
	}
}

func TestTheCallersDeadlineEndsEverything(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	srv := newSTS(t, breaks()["hangs"])
	b := srv.base(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := b.Lend(ctx, request(t, nil))
	if fault.ClassOf(err) != fault.Passing || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v of class %s", err, fault.ClassOf(err))
	}
}

func TestLendEndsWithoutACallersDeadline(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	srv := newSTS(t, breaks()["hangs"])
	srv.base(t)
	lim := testLimits()
	lim.lend = 100 * time.Millisecond
	b, err := loadBase(t.Context(), "eu-central-1", lim)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = b.Lend(t.Context(), request(t, nil)); fault.ClassOf(err) != fault.Passing {
		t.Errorf("%v of class %s", err, fault.ClassOf(err))
	}
}

func TestAnInterruptIsPassing(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	ctx, cancel := context.WithCancel(t.Context())
	srv := newSTS(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	_, err := srv.base(t).Lend(ctx, request(t, nil))
	if fault.ClassOf(err) != fault.Passing || !errors.Is(err, context.Canceled) {
		t.Errorf("%v of class %s", err, fault.ClassOf(err))
	}
}

func TestAnEndpointThatIsNotThereIsPassing(t *testing.T) {
	for name, endpoint := range map[string]string{
		"closed port":     "http://127.0.0.1:1",
		"password in it":  "http://user:password@127.0.0.1:1",
		"untrusted TLS":   "",
		"speaks no HTTP":  "https://127.0.0.1:1",
		"unknown scheme":  "gopher://127.0.0.1:1",
		"no URL at all":   "::not a URL::",
		"invalid address": "http://127.0.0.1:999999",
	} {
		t.Run(name, func(t *testing.T) {
			cleanEnv(t)
			userKeys(t)
			if endpoint == "" {
				srv := httptest.NewUnstartedServer(http.NotFoundHandler())
				srv.Config.ErrorLog = quiet()
				srv.StartTLS()
				t.Cleanup(srv.Close)
				endpoint = srv.URL
			}
			t.Setenv("AWS_ENDPOINT_URL", endpoint)
			b, err := loadBase(t.Context(), "eu-central-1", testLimits())
			if err == nil {
				_, err = b.Lend(t.Context(), request(t, nil))
			}
			if err == nil || fault.ClassOf(err) == fault.Internal || fault.HelpOf(err) == "" || strings.Contains(err.Error(), "://") {
				t.Errorf("%v of class %s", err, fault.ClassOf(err))
			}
			assertNoSecret(t, err)
		})
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	other := newSTS(t, lends)
	srv := newSTS(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/", http.StatusTemporaryRedirect)
	})
	_, err := srv.base(t).Lend(t.Context(), request(t, nil))
	if fault.ClassOf(err) != fault.Passing || len(other.seen()) != 0 {
		t.Errorf("%v of class %s; the other host got %d calls", err, fault.ClassOf(err), len(other.seen()))
	}
}

func TestAWSsWordsCannotForgeALogLineNorCarryASecret(t *testing.T) {
	for _, code := range []string{"AccessDenied", "SignatureDoesNotMatch", "IncompleteSignature", "ValidationError", "NewCode"} {
		t.Run(code, func(t *testing.T) {
			cleanEnv(t)
			userKeys(t)
			t.Setenv("AWS_SESSION_TOKEN", baseToken)
			echo := "denied\n\x1b[31mJob succeeded\r\n x-amz-security-token:" + baseToken + " " + baseSecret + " " + externalID + strings.Repeat("x", 5000)
			srv := newSTS(t, fails(403, code, strings.ReplaceAll(echo, "\x1b", "\u009b")))
			_, err := srv.base(t).Lend(t.Context(), request(t, func(g *roles.Grant) { g.ExternalID = externalID }))
			if err == nil || strings.ContainsAny(err.Error(), "\n\r\x1b\u009b") || len(err.Error()) > 1000 {
				t.Errorf("error %q", err)
			}
			if strings.Contains(code, "Signature") && strings.Contains(err.Error(), "x-amz-security-token") {
				t.Error("the request that AWS quotes is repeated")
			}
			if strings.Contains(err.Error()+fault.HelpOf(err), externalID) {
				t.Error("the external id is shown")
			}
			assertNoSecret(t, err)
		})
	}
}
