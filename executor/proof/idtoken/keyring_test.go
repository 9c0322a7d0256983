package idtoken

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"envrole/executor/proof"
	"envrole/roles/fault"
)

func (p *provider) verify(v *Verifier, token string) (Proof, error) {
	return v.Verify(context.Background(), subject(), secrets(token), 0)
}

func TestFreshKeysAreNotAskedForAgain(t *testing.T) {
	p := newProvider(t)
	o, c := p.options(t.TempDir())
	for range 3 { // each a process of its own, as far as memory goes
		if _, err := p.verify(New(o), p.token(nil)); err != nil {
			t.Fatal(err)
		}
	}
	if n := p.count(); n != 2 {
		t.Errorf("%d requests, want 2: discovery and keys", n)
	}
	c.forward(o.MaxAge)
	got, err := p.verify(New(o), p.token(with("exp", time.Now().Add(9*time.Hour).Unix())))
	if err != nil || p.count() != 4 || got.KeysAge > time.Second {
		t.Errorf("past their time: %d requests, %v", p.count(), err)
	}
}

func TestAKeyThatIsNewIsAskedForAndTheOldOneEnds(t *testing.T) {
	p := newProvider(t)
	v, c := p.verifier()
	old := p.token(nil)
	if _, err := p.verify(v, old); err != nil {
		t.Fatal(err)
	}
	p.withdraw()
	p.publish("second", rsaKey(t, 2048), "RS256")
	c.forward(askEvery)
	if _, err := p.verify(v, p.signed("second", "RS256", nil)); err != nil {
		t.Errorf("the new key: %v", err)
	}
	c.forward(askEvery)
	if _, err := p.verify(v, old); fault.ClassOf(err) != fault.Refused || !strings.Contains(err.Error(), `no signing key "first"`) {
		t.Errorf("the withdrawn key: %v", err)
	}
}

// Keys that are turned over while jobs are prepared: none of them fails but for
// a moment.
func TestKeysThatChangeInMidFlight(t *testing.T) {
	p := newProvider(t)
	o, c := p.options(t.TempDir())
	for i := range 6 {
		id := string(rune('a' + i))
		p.publish(id, ecKey(t), "ES256")
		_, err := p.verify(New(o), p.signed(id, "ES256", nil))
		if err != nil && fault.ClassOf(err) != fault.Passing {
			t.Errorf("%s: %v", id, err)
		}
		c.forward(askEvery)
		if _, err := p.verify(New(o), p.signed(id, "ES256", nil)); err != nil {
			t.Errorf("%s, tried again: %v", id, err)
		}
	}
}

func TestForgedKeyIDsMakeUsAskRarely(t *testing.T) {
	p := newProvider(t)
	v, c := p.verifier()
	if _, err := p.verify(v, p.token(nil)); err != nil {
		t.Fatal(err)
	}
	before := p.count()
	forged := rsaKey(t, 2048)
	for i := range 40 {
		token := oidctest.SignIDToken(forged, "k"+string(rune('a'+i)), "RS256", claimsText(t, p))
		if _, err := p.verify(v, token); err == nil {
			t.Fatal("accepted")
		}
		c.forward(time.Second)
	}
	if n := (p.count() - before) / 2; n > 3 {
		t.Errorf("asked %d times in 40 seconds, want at most one in %s", n, askEvery)
	}
	if _, err := p.verify(v, p.token(nil)); err != nil {
		t.Errorf("an honest job meanwhile: %v", err)
	}
}

// What GitLab may answer instead of its keys; the cached ones go on, for a while.
func TestKeysOutliveGitLabsTroubleButNotForever(t *testing.T) {
	huge := strings.Repeat(" ", 2<<20)
	for name, h := range map[string]http.HandlerFunc{
		"503":              func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"404":              http.NotFound,
		"a page":           func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>login") },
		"huge":             answering(huge),
		"empty":            answering(""),
		"no keys":          answering(`{"issuer":"ISSUER","jwks_uri":"ISSUER/keys","keys":[]}`),
		"null":             answering(`null`),
		"another issuer":   answering(`{"issuer":"https://evil.example.com","jwks_uri":"ISSUER/keys"}`),
		"two issuers":      answering(`{"issuer":"ISSUER","issuer":"ISSUER","jwks_uri":"ISSUER/keys"}`),
		"keys elsewhere":   answering(`{"issuer":"ISSUER","jwks_uri":"http://127.0.0.2:1/keys"}`),
		"keys in a file":   answering(`{"issuer":"ISSUER","jwks_uri":"file:///etc/passwd"}`),
		"a redirect":       func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"a symmetric key":  answering(`{"issuer":"ISSUER","jwks_uri":"ISSUER/keys","keys":[{"kty":"oct","kid":"first","k":"AAAA"}]}`),
		"a short key":      answering(`{"issuer":"ISSUER","jwks_uri":"ISSUER/keys","keys":[` + short(t) + `]}`),
		"closed in middle": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			o, c := p.options(t.TempDir())
			o.Stale = 2 * time.Hour
			client, err := proof.New(proof.Options{URL: p.url, Timeout: 5 * time.Second, Sleep: func(context.Context, time.Duration) error { return nil }})
			if err != nil {
				t.Fatal(err)
			}
			o.GitLab = client
			later := with("exp", time.Now().Add(9*time.Hour).Unix())
			p.answer(h)
			if _, err := p.verify(New(o), p.token(nil)); err == nil {
				t.Fatal("without keys at all")
			}
			p.answer(nil)
			c.forward(askEvery)
			if _, err := p.verify(New(o), p.token(nil)); err != nil {
				t.Fatal(err)
			}
			p.answer(h)
			c.forward(o.MaxAge + time.Minute)
			got, err := p.verify(New(o), p.token(later))
			if err != nil || !got.Stale || len(got.Warnings) != 1 || got.KeysAge < o.MaxAge {
				t.Errorf("stale: %+v %v", got, err)
			}
			asked := p.count()
			if got, err = p.verify(New(o), p.token(later)); err != nil || !got.Stale || p.count() != asked {
				t.Errorf("the next job asked again at once, or: %v", err)
			}
			c.forward(o.Stale)
			if _, err = p.verify(New(o), p.token(later)); err == nil {
				t.Error("used past max age and stale time")
			}
			p.answer(nil)
			c.forward(askEvery)
			if got, err = p.verify(New(o), p.token(later)); err != nil || got.Stale {
				t.Errorf("GitLab is back: %+v %v", got, err)
			}
		})
	}
}

func answering(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, strings.ReplaceAll(body, "ISSUER", "http://"+r.Host))
	}
}

// short is a published key that is too short to be trusted.
func short(t *testing.T) string {
	t.Helper()
	return `{"kty":"RSA","kid":"first","alg":"RS256","use":"sig","e":"AQAB","n":"` + strings.Repeat("zM", 85) + `"}`
}

func TestASlowGitLabIsGivenUp(t *testing.T) {
	p := newProvider(t)
	o, _ := p.options(t.TempDir())
	hang := make(chan struct{})
	defer close(hang)
	p.answer(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	o.Timeout = 50 * time.Millisecond
	if _, err := p.verify(New(o), p.token(nil)); fault.ClassOf(err) != fault.Passing {
		t.Error(err)
	}
}

func TestAnExpiredCertificateIsNotTrusted(t *testing.T) {
	cert, ca := expired(t)
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	client, err := proof.New(proof.Options{URL: s.URL, CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	p := newProvider(t)
	o, _ := p.options(t.TempDir())
	o.Issuer, o.GitLab = s.URL, client
	_, err = p.verify(New(o), p.token(with("iss", s.URL)))
	if fault.ClassOf(err) != fault.Passing || !strings.Contains(err.Error(), "expired") || !strings.Contains(fault.HelpOf(err), "certificate") {
		t.Error(err)
	}
}

func TestACacheThatOthersCouldWriteIsNotBelieved(t *testing.T) {
	p := newProvider(t)
	o, _ := p.options(t.TempDir())
	path := filepath.Join(o.Dir, cacheFile)
	mine := newProvider(t)
	// A planted cache under this issuer's name, with the attacker's key.
	planted, _ := mine.options(o.Dir)
	if _, err := mine.verify(New(planted), mine.token(nil)); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw = []byte(strings.Replace(string(raw), mine.url, p.url, 1))
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("the cache has mode %s", info.Mode())
	}
	forged := oidctest.SignIDToken(mine.keys["first"], "first", "RS256", claimsText(t, p))
	for name, plant := range map[string]func() error{
		"writable by all": func() error { return errors.Join(os.WriteFile(path, raw, 0o600), os.Chmod(path, 0o602)) },
		"a symbolic link": func() error { return errors.Join(os.WriteFile(path+"2", raw, 0o600), os.Symlink(path+"2", path)) },
		"another version": func() error {
			return os.WriteFile(path, []byte(strings.Replace(string(raw), `"version":1`, `"version":2`, 1)), 0o600)
		},
		"another issuer": func() error {
			return os.WriteFile(path, []byte(strings.Replace(string(raw), p.url, "https://x", 1)), 0o600)
		},
		"from the future": func() error {
			return os.WriteFile(path, []byte(strings.Replace(string(raw), `"fetched":1`, `"fetched":9`, 1)), 0o600)
		},
		"cut off":     func() error { return os.WriteFile(path, raw[:len(raw)-9], 0o600) },
		"empty":       func() error { return os.WriteFile(path, nil, 0o600) },
		"a directory": func() error { return os.Mkdir(path, 0o700) },
		"keys of no shape": func() error {
			return os.WriteFile(path, []byte(`{"version":1,"issuer":"`+p.url+`","fetched":1,"keys":[1]}`), 0o600)
		},
	} {
		_ = os.RemoveAll(path)
		if err := plant(); err != nil {
			t.Fatal(err)
		}
		if _, err := p.verify(New(o), forged); fault.ClassOf(err) != fault.Refused {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := p.verify(New(o), p.token(nil)); err != nil {
			t.Errorf("%s: an honest token: %v", name, err)
		}
	}
}

func TestWithoutAWritableDirectoryTheJobGoesOn(t *testing.T) {
	p := newProvider(t)
	o, _ := p.options(filepath.Join(t.TempDir(), "missing"))
	got, err := p.verify(New(o), p.token(nil))
	if err != nil || len(got.Warnings) != 2 {
		t.Errorf("%+v %v", got, err)
	}
}

// Many verifiers with one cold cache: each succeeds, GitLab is asked once.
func TestOneOfManyAsks(t *testing.T) {
	p := newProvider(t)
	o, _ := p.options(t.TempDir())
	token := p.token(nil)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := p.verify(New(o), token); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := p.count(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

// Two hosts' worth of processes that write the same cache without a lock in
// common: readers always see a whole one.
func TestWritersWithoutALockNeverTearTheCache(t *testing.T) {
	p := newProvider(t)
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		o, c := p.options(dir)
		k := &keyring{opts: o}
		wg.Go(func() {
			for range 50 {
				keys, err := k.fetch(t.Context())
				if err == nil {
					err = k.save(cache{Fetched: c.now().Unix(), Asked: c.now().Unix(), Keys: keys})
				}
				if err != nil {
					t.Error(err)
				}
				raw, err := os.ReadFile(filepath.Join(dir, cacheFile))
				if err != nil || !json.Valid(raw) || len(k.load().Keys) != 1 {
					t.Errorf("torn: %q %v", raw, err)
				}
			}
		})
	}
	wg.Wait()
	dead := filepath.Join(dir, tempPrefix+"dead")
	if err := errors.Join(os.WriteFile(dead, nil, 0o600), os.Chtimes(dead, time.Now(), time.Now().Add(-2*time.Hour))); err != nil {
		t.Fatal(err)
	}
	o, _ := p.options(dir)
	if err := (&keyring{opts: o}).save(cache{}); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".tmp-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// The same with real processes that refresh at once.
func TestProcessesRefreshAtOnce(t *testing.T) {
	if dir := os.Getenv("IDTOKEN_TEST_DIR"); dir != "" {
		client, err := proof.New(proof.Options{URL: os.Getenv("IDTOKEN_TEST_URL")})
		if err != nil {
			t.Fatal(err)
		}
		v := New(Options{Issuer: os.Getenv("IDTOKEN_TEST_URL"), Audience: audience, Dir: dir, MaxAge: time.Hour, Timeout: 20 * time.Second, GitLab: client})
		if _, err := v.Verify(t.Context(), subject(), secrets(os.Getenv("IDTOKEN_TEST_TOKEN")), 0); err != nil {
			t.Fatal(err)
		}
		return
	}
	p := newProvider(t)
	dir, token := t.TempDir(), p.token(nil)
	var wg sync.WaitGroup
	for range 6 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "IDTOKEN_TEST_DIR="+dir, "IDTOKEN_TEST_URL="+p.url, "IDTOKEN_TEST_TOKEN="+token)
		wg.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	if n := p.count(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

// BenchmarkWarmVerify is what an ID token adds to prepare: reading the cache,
// one signature, the comparison. The requests are counted, and must be none.
func BenchmarkWarmVerify(b *testing.B) {
	p := newProvider(b)
	o, _ := p.options(b.TempDir())
	token := secrets(p.token(nil))
	if _, err := New(o).Verify(b.Context(), subject(), token, 0); err != nil {
		b.Fatal(err)
	}
	asked := p.count()
	for b.Loop() {
		if _, err := New(o).Verify(b.Context(), subject(), token, 0); err != nil {
			b.Fatal(err)
		}
	}
	if n := p.count() - asked; n > 0 {
		b.Errorf("%d requests with a warm cache", n)
	}
}

// authority writes a certificate as a file of trusted ones.
func authority(t *testing.T, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
