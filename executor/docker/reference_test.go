package docker

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func TestReferencesHaveOneFullName(t *testing.T) {
	for _, c := range []struct{ written, name, familiar string }{
		{"ruby", "docker.io/library/ruby:latest", "ruby:latest"},
		{"ruby:3.4", "docker.io/library/ruby:3.4", "ruby:3.4"},
		{"docker.io/ruby:3.4", "docker.io/library/ruby:3.4", "ruby:3.4"},
		{"docker.io/library/ruby:3.4", "docker.io/library/ruby:3.4", "ruby:3.4"},
		{"index.docker.io/library/ruby:3.4", "docker.io/library/ruby:3.4", "ruby:3.4"},
		{"acme/tool", "docker.io/acme/tool:latest", "acme/tool:latest"},
		{"ruby@" + digestA, "docker.io/library/ruby@" + digestA, "ruby@" + digestA},
		{"ruby:3@" + digestA, "docker.io/library/ruby:3@" + digestA, "ruby:3@" + digestA},
		{"registry.example.com/a/b", "registry.example.com/a/b:latest", "registry.example.com/a/b:latest"},
		{"registry.example.com:5000/a/b:V1_.-x", "registry.example.com:5000/a/b:V1_.-x", "registry.example.com:5000/a/b:V1_.-x"},
		{"localhost/a", "localhost/a:latest", "localhost/a:latest"},
		{"localhost:5000/a", "localhost:5000/a:latest", "localhost:5000/a:latest"},
		{"[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"},
		{"a__b/c.d-e--f", "docker.io/a__b/c.d-e--f:latest", "a__b/c.d-e--f:latest"},
		// What the Engine would take for ids of images that lie on the host.
		{"deadbeef", "docker.io/library/deadbeef:latest", "deadbeef:latest"},
		{strings.Repeat("a", 64), "docker.io/library/" + strings.Repeat("a", 64) + ":latest", strings.Repeat("a", 64) + ":latest"},
		{digestA, "docker.io/library/" + digestA, digestA},
	} {
		r, err := ParseReference(c.written)
		if err != nil || r.Name() != c.name || r.Familiar() != c.familiar {
			t.Errorf("%s: %v, %s, %s", c.written, err, r.Name(), r.Familiar())
		}
	}
}

func TestWhatIsNoReferenceIsRefused(t *testing.T) {
	for _, s := range []string{
		"", " ", "ruby ", " ruby", "ruby\n", "ru by", "ruby:", "ruby@", "ruby:3:4", "ruby:3 4", "Ruby", "RUBY", "docker.io/Library/ruby", "Docker.IO/library/ruby",
		"../ruby", "a/../b", "a//b", "/a", "a/", "a/.", "./a", "a..b", "a___b", "-a", "a-", "_a", "a/_b", "a-_b", "a.-b",
		"ruby:.x", "ruby:-x", "ruby:" + strings.Repeat("x", 129), "rüby", "rub\u0443", "ruby\x00", "ruby\u200b", "https://registry.example.com/a", "docker://ruby", "oci:/etc", "dir:/x",
		"ruby@sha256:abc", "ruby@" + strings.ToUpper(digestA), "ruby@md5:" + strings.Repeat("a", 64), "ruby@" + digestA + "@" + digestA, "@" + digestA, "ruby@" + digestA + ":3",
		"registry.example.com:port/a", "registry.example.com:123456/a", "reg_istry.example.com/a", ".example.com/a", "example..com/a", "[::1/a", "[]/a", "user@host.com/a", "user:pw@host.com/a",
		strings.Repeat("a/", 140) + "a", "$X", "ruby;id", "ruby$(id)", "ruby?x=y", "ruby#x", "ruby%2fx",
	} {
		if r, err := ParseReference(s); err == nil {
			t.Errorf("%q is read as %s", s, r.Name())
		}
	}
}

// names makes references of which most are good.
func names() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		return rapid.SampledFrom([]string{"", "docker.io/", "index.docker.io/", "docker.io/library/", "library/", "acme/", "r.example.com/", "r.example.com:5000/g/", "localhost/"}).Draw(t, "prefix") +
			rapid.SampledFrom([]string{"ruby", "deadbeef", "a/b", "a__b", "x-y.z"}).Draw(t, "path") +
			rapid.SampledFrom([]string{"", ":latest", ":3.4", ":V1"}).Draw(t, "tag") +
			rapid.SampledFrom([]string{"", "@" + digestA}).Draw(t, "digest")
	})
}

func TestAFullNameIsItsOwnFullName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(names(), rapid.StringMatching(`[a-zA-Z0-9._/:@\[\]-]{0,40}`)).Draw(t, "name")
		r, err := ParseReference(s)
		if err != nil {
			return
		}
		for _, again := range []string{r.Name(), r.Familiar()} {
			r2, err := ParseReference(again)
			if err != nil || r2.Name() != r.Name() {
				t.Fatalf("%q is %q, but %q is %q (%v)", s, r.Name(), again, r2.Name(), err)
			}
		}
		if !strings.Contains(r.Name(), "/") || strings.ContainsAny(r.Name(), " $\\") {
			t.Fatalf("%q gives %q", s, r.Name())
		}
	})
}
