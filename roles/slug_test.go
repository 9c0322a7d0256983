package roles

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

func TestEnvironmentSlugIsGitLabs(t *testing.T) {
	for name, want := range map[string]string{
		"production":       "production",
		"production-":      "production",
		"PRODUCTION":       "production-vl4voz",
		"review/x":         "review-x-n5c54v",
		"review/feature-1": "review-feature-1-1q251u",
		"prod/eu":          "prod-eu-vyg7yo",
		"eu-west-1/prod":   "eu-west-1-prod-ktqexe",
		"QA Env 2":         "qa-env-2-bpqtks",
		"$CI_JOB_NAME":     "env-ci-job-name-mf25jj",
	} {
		if got := EnvironmentSlug(name); got != want {
			t.Errorf("EnvironmentSlug(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestEnvironmentSlugHasItsForm(t *testing.T) {
	form := regexp.MustCompile(`^[a-z][a-z0-9-]{0,23}$`)
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.String().Draw(t, "name")
		slug := EnvironmentSlug(name)
		if !form.MatchString(slug) || !validEnvironmentSlug(slug) {
			t.Fatalf("EnvironmentSlug(%q) = %q", name, slug)
		}
		if !SlugCouldBelong(name, slug) {
			t.Fatalf("%q does not belong to its own name %q", slug, name)
		}
	})
}

func TestSlugCouldBelong(t *testing.T) {
	for _, c := range []struct {
		name, slug string
		want       bool
	}{
		{"production", "production", true},
		{"production", "production-abc123", false},
		{"review/x", "review-x-n5c54v", true},
		{"review/x", "review-x-zzzzz0", true}, // random suffix of an old server
		{"review/x", "review-x-zzzzz", false},
		{"review/x", "review-x-zzzzz0a", false},
		{"review/x", "review-x-ZZZZZ0", false},
		{"review/x", "review-x--zzzz0", false},
		{"review/x", "review-x", false},
		{"review/x", "review-y-n5c54v", false},
		{"review/x", "", false},
		{"production-europe-west-1", "production-europe-west-1", true},
		{"production-europe-west-12", "production-europe-abc123", true},
		{"production-europe-west-12", "production-europa-abc123", false},
		{"", "", false},
	} {
		if got := SlugCouldBelong(c.name, c.slug); got != c.want {
			t.Errorf("SlugCouldBelong(%q, %q) = %v", c.name, c.slug, got)
		}
	}
}

func TestPathSlugIsGitLabs(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{"acme/shop/web", "acme-shop-web"},
		{"Acme/Shop.Web", "acme-shop-web"},
		{"-a-", "a"},
		{"///", ""},
		{"", ""},
		{"feature/ä", "feature"},
		{"\u212a", "k"}, // the Kelvin sign's lower case is an ordinary k
		{"Xİx", "xi-x"}, // lower case of two characters
		// Cut first, trimmed then: 62 bytes remain.
		{"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgg/hhh", "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgg"},
	} {
		if got := pathSlug(c.path); got != c.want {
			t.Errorf("pathSlug(%q) = %q, want %q", c.path, got, c.want)
		}
	}
}
