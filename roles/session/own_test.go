package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"envrole/roles/fault"
)

// renewing gives another key each time it is asked, and fails from the time
// that fail is set.
type renewing struct {
	n    int
	fail error
}

func (r *renewing) Retrieve(context.Context) (aws.Credentials, error) {
	if r.fail != nil && r.n > 0 {
		return aws.Credentials{}, r.fail
	}
	r.n++
	return aws.Credentials{
		AccessKeyID: fmt.Sprintf("ASIARUNNER%d", r.n), SecretAccessKey: baseSecret, SessionToken: baseToken,
		CanExpire: true, Expires: time.Now().Add(time.Hour),
	}, nil
}

func TestStaleCredentialsOfTheRunnerAreRenewedOnce(t *testing.T) {
	expired := fails(403, "ExpiredToken", "The security token included in the request is expired")
	for _, tt := range []struct {
		name     string
		answers  []http.HandlerFunc
		provider *renewing
		keys     []string
		class    fault.Class
		ok       bool
	}{
		{"expired", []http.HandlerFunc{expired, lends}, &renewing{}, []string{"ASIARUNNER1", "ASIARUNNER2"}, 0, true},
		{"unknown", []http.HandlerFunc{fails(403, "InvalidClientTokenId", "x"), lends}, &renewing{}, []string{"ASIARUNNER1", "ASIARUNNER2"}, 0, true},
		{"expired for good", []http.HandlerFunc{expired}, &renewing{}, []string{"ASIARUNNER1", "ASIARUNNER2"}, fault.Passing, false},
		{"no new ones", []http.HandlerFunc{expired, lends}, &renewing{fail: errors.New("source: " + baseSecret)}, []string{"ASIARUNNER1"}, fault.Passing, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cleanEnv(t)
			srv := newSTS(t, tt.answers...)
			b := srv.base(t)
			b.cfg.Credentials = aws.NewCredentialsCache(tt.provider)
			_, err := b.Lend(t.Context(), request(t, nil))
			var keys []string
			for _, c := range srv.seen() {
				keys = append(keys, c.key())
			}
			if (err == nil) != tt.ok || strings.Join(keys, " ") != strings.Join(tt.keys, " ") {
				t.Fatalf("keys used %v, error %v", keys, err)
			}
			if err != nil && fault.ClassOf(err) != tt.class {
				t.Errorf("class %s", fault.ClassOf(err))
			}
			assertNoSecret(t, err)
		})
	}
}

func TestARunnerWithoutCredentialsIsToldWhatItNeeds(t *testing.T) {
	cleanEnv(t)
	srv := newSTS(t, lends)
	_, err := srv.base(t).Lend(t.Context(), request(t, nil))
	if fault.ClassOf(err) != fault.Permanent || !strings.Contains(fault.HelpOf(err), "AWS_PROFILE") {
		t.Errorf("%v of class %s, help %q", err, fault.ClassOf(err), fault.HelpOf(err))
	}
	if n := len(srv.seen()); n != 0 {
		t.Errorf("%d calls", n)
	}
}

func TestACredentialServiceInTroubleIsPassing(t *testing.T) {
	cleanEnv(t)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(baseSecret))
	}))
	t.Cleanup(service.Close)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.URL+"/creds")
	_, err := newSTS(t, lends).base(t).Lend(t.Context(), request(t, nil))
	if err == nil || fault.ClassOf(err) != fault.Passing {
		t.Errorf("%v of class %s", err, fault.ClassOf(err))
	}
	assertNoSecret(t, err)
}

func TestContainerCredentialsAreARoleSession(t *testing.T) {
	cleanEnv(t)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"AccessKeyId":"ASIACONTAINER","SecretAccessKey":%q,"Token":%q,"Expiration":%q}`,
			baseSecret, baseToken, time.Now().Add(time.Hour).UTC().Format(stsTimeForm))
	}))
	t.Cleanup(service.Close)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.URL+"/creds")
	srv := newSTS(t, lends)
	r := request(t, nil)
	r.Grant.Duration = 3 * time.Hour
	s, err := srv.base(t).Lend(t.Context(), r)
	if err != nil || s.Duration != time.Hour || srv.seen()[0].header.Get("X-Amz-Security-Token") != baseToken {
		t.Errorf("duration %s, error %v", s.Duration, err)
	}
}

// A credential process that prints something else than it should must not be
// quoted: the something else is usually a credential.
func TestTheOutputOfACredentialProcessIsNeverRepeated(t *testing.T) {
	cleanEnv(t)
	for name, output := range map[string]string{
		"no JSON":       baseSecret + " " + baseToken,
		"wrong version": `{"Version":9,"SecretAccessKey":"` + baseSecret + `"}`,
		"cut JSON":      `{"Version":1,"AccessKeyId":"A","SecretAccessKey":"` + baseSecret,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, dir, "output", output)
			t.Setenv("AWS_CONFIG_FILE", writeFile(t, dir, "config", "[default]\ncredential_process = cat "+filepath.Join(dir, "output")+"\n"))
			_, err := newSTS(t, lends).base(t).Lend(t.Context(), request(t, nil))
			if err == nil {
				t.Fatal("lent")
			}
			assertNoSecret(t, err)
		})
	}
}

func TestARunnersOwnProfileRoleThatIsDeniedIsPermanent(t *testing.T) {
	cleanEnv(t)
	dir := t.TempDir()
	t.Setenv("AWS_CONFIG_FILE", writeFile(t, dir, "config", "[default]\nrole_arn = "+hubARN+"\nsource_profile = keys\n"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", writeFile(t, dir, "credentials", "[keys]\naws_access_key_id = "+baseKey+"\naws_secret_access_key = "+baseSecret+"\n"))
	srv := newSTS(t, denied("sts:AssumeRole"))
	// The SDK's own role provider does not look at AWS_ENDPOINT_URL.
	t.Setenv("AWS_ENDPOINT_URL_STS", srv.URL)
	_, err := srv.base(t).Lend(t.Context(), request(t, nil))
	if fault.ClassOf(err) != fault.Permanent || !strings.Contains(err.Error(), "own AWS credentials") {
		t.Errorf("%v of class %s", err, fault.ClassOf(err))
	}
	assertNoSecret(t, err)
}

func TestASettingThatTheSDKDoesNotAcceptIsPermanentAndNotQuoted(t *testing.T) {
	for name, set := range map[string]func(t *testing.T, dir string){
		"profile that is not there": func(t *testing.T, _ string) { t.Setenv("AWS_PROFILE", "nowhere") },
		"CA bundle that is not there": func(t *testing.T, dir string) {
			t.Setenv("AWS_CA_BUNDLE", filepath.Join(dir, "none.pem"))
		},
		"CA bundle that is none": func(t *testing.T, dir string) {
			t.Setenv("AWS_CA_BUNDLE", writeFile(t, dir, "ca.pem", baseSecret))
		},
		"number that is none": func(t *testing.T, _ string) { t.Setenv("AWS_MAX_ATTEMPTS", baseSecret) },
		"profile that loops": func(t *testing.T, dir string) {
			t.Setenv("AWS_CONFIG_FILE", writeFile(t, dir, "config", "[default]\nrole_arn = "+hubARN+"\nsource_profile = keys\n"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			cleanEnv(t)
			set(t, t.TempDir())
			_, err := LoadBase(t.Context(), "eu-central-1")
			if fault.ClassOf(err) != fault.Permanent || fault.HelpOf(err) == "" {
				t.Errorf("%v of class %s", err, fault.ClassOf(err))
			}
			assertNoSecret(t, err)
		})
	}
}

func TestAMissingRegionIsPermanent(t *testing.T) {
	cleanEnv(t)
	userKeys(t)
	b, err := LoadBase(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Lend(t.Context(), request(t, nil))
	if fault.ClassOf(err) != fault.Permanent || !strings.Contains(fault.HelpOf(err), "region") {
		t.Errorf("%v of class %s", err, fault.ClassOf(err))
	}
}

func TestTheRegionOfTheRunnersProfileIsUsedWhereNoneIsConfigured(t *testing.T) {
	cleanEnv(t)
	t.Setenv("AWS_REGION", "ap-southeast-2")
	b, err := LoadBase(t.Context(), "")
	if err != nil || b.Region() != "ap-southeast-2" {
		t.Errorf("region %q, error %v", b.Region(), err)
	}
}

func writeFile(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
