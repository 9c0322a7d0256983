package proof

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"envrole/roles/fault"
)

func TestURLMustBeAPlainAddress(t *testing.T) {
	for _, raw := range []string{
		"", "gitlab.example.com", "ftp://gitlab.example.com", "https://", "https:///x", "https://user:pa55@gitlab.example.com",
		"https://gitlab.example.com?x=1", "https://gitlab.example.com?", "https://gitlab.example.com#x", "https://[::1", "https://h:pa55 word@",
		"file:///etc/passwd", "//gitlab.example.com",
	} {
		_, err := New(Options{URL: raw})
		if fault.ClassOf(err) != fault.Permanent || !strings.Contains(err.Error(), "gitlab.url") || strings.Contains(err.Error(), "pa55") {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

func TestCAFileMustHoldACertificate(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.pem")
	empty := filepath.Join(dir, "empty.pem")
	if err := os.WriteFile(garbage, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{garbage, empty, dir, filepath.Join(dir, "missing.pem")} {
		_, err := New(Options{URL: "https://gitlab.example.com", CAFile: file})
		if fault.ClassOf(err) != fault.Permanent || !strings.Contains(err.Error(), "gitlab.ca_file") || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestPrivateAuthorityIsTrustedOnlyThroughCAFile(t *testing.T) {
	s := httptest.NewTLSServer(production())
	defer s.Close()
	s.Config.ErrorLog = quiet()
	p, err := client(t, Options{URL: s.URL, Sleep: skip}).Prove(t.Context(), subject())
	if fault.ClassOf(err) != fault.Passing || !strings.Contains(fault.HelpOf(err), "ca_file") || p.Calls != 1 {
		t.Errorf("%d calls, %v", p.Calls, err)
	}
	if _, err := client(t, Options{URL: s.URL, CAFile: authority(t, s)}).Prove(t.Context(), subject()); err != nil {
		t.Error(err)
	}
}

func TestCertificateOfAnotherHostIsNotTrusted(t *testing.T) {
	s := httptest.NewTLSServer(production())
	defer s.Close()
	s.Config.ErrorLog = quiet()
	url := strings.Replace(s.URL, "127.0.0.1", "localhost", 1) // not in the certificate
	_, err := client(t, Options{URL: url, CAFile: authority(t, s), Sleep: skip}).Prove(t.Context(), subject())
	if fault.ClassOf(err) != fault.Passing || !strings.Contains(err.Error(), "not localhost") {
		t.Errorf("%v", err)
	}
}

func TestOldTLSIsNotSpoken(t *testing.T) {
	s := httptest.NewUnstartedServer(production())
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	s.Config.ErrorLog = quiet()
	s.StartTLS()
	defer s.Close()
	_, err := client(t, Options{URL: s.URL, CAFile: authority(t, s), Sleep: skip}).Prove(t.Context(), subject())
	if fault.ClassOf(err) != fault.Passing || !strings.Contains(err.Error(), "version") {
		t.Errorf("%v", err)
	}
}

func authority(t *testing.T, s *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The proxy settings are read once per process, so a child of its own tries
// them.
const proxyChild = "ENVROLE_TEST_PROXY_CHILD"

func TestProxyOfTheEnvironment(t *testing.T) {
	if os.Getenv(proxyChild) != "" {
		p, err := client(t, Options{URL: "http://gitlab.example.test", Sleep: skip}).Prove(t.Context(), subject())
		fmt.Printf("environment=%s class=%s err=%v\n", p.Environment, fault.ClassOf(err), err)
		return
	}
	g := production()
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "gitlab.example.test" {
			t.Errorf("proxy asked for %s", r.Host)
		}
		g.ServeHTTP(w, r)
	}))
	child := func(proxyURL string) string {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxyOfTheEnvironment$")
		cmd.Env = []string{proxyChild + "=1", "HTTP_PROXY=" + proxyURL}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if out := child(s.URL); !strings.Contains(out, "environment=production") {
		t.Errorf("through the proxy: %s", out)
	}
	out := child("http://user:pa55word@" + closedAddress(t))
	if !strings.Contains(out, "class=passing") || !strings.Contains(out, "proxyconnect") || strings.Contains(out, "pa55word") {
		t.Errorf("a proxy that does not listen: %s", out)
	}
}
