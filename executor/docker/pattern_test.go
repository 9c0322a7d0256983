package docker

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestListsMeanWhatTheyMeanInTheRunner(t *testing.T) {
	for _, c := range []struct {
		pattern, image string
		want           bool
	}{
		{"ruby:*", "ruby:3.4", true},
		{"ruby:*", "ruby", true}, // latest
		{"ruby", "ruby", true},
		{"ruby", "ruby:3.4", false},
		{"ruby:3.?", "ruby:3.4", true},
		{"ruby:3.?", "ruby:3.10", false},
		{"ruby:3.[0-4]", "ruby:3.4", true},
		{"ruby:3.[!0-4]", "ruby:3.4", false},
		{"ruby:{3.4,3.3}", "ruby:3.3", true},
		{"{ruby,node}:{1,2}", "node:2", true},
		{"{ruby,node}:{1,2}", "node:3", false},
		{"*", "ruby:3.4", true},
		{"*", "acme/tool", false}, // * does not cross a slash
		{"*/*", "acme/tool:1", true},
		{"my.registry.tld:5000/*:*", "my.registry.tld:5000/tool:1", true},
		{"my.registry.tld:5000/*:*", "my.registry.tld:5000/group/tool:1", false},
		{"my.registry.tld:5000/**", "my.registry.tld:5000/group/tool:1", true},
		{"my.registry.tld:5000/**/tool:*", "my.registry.tld:5000/a/b/tool:1", true},
		{"my.registry.tld:5000/**/tool:*", "my.registry.tld:5000/tool:1", true},
		{"my.registry.tld/**", "my.registry.tld.evil.com/x", false},
		{"my.registry.tld/**", "evil.com/my.registry.tld/x", false},
		{"my.registry.tld/a*", "my.registry.tld:5000/a", false},
		{"**", "anything.example.com/a/b/c:1", true},
		{"ruby:3.4@" + digestA, "ruby:3.4@" + digestA, true},
		{"ruby@" + digestA, "ruby:3.4@" + digestA, true}, // the same image
		{"ruby:*", "ruby:3.4@" + digestA, true},
		{"ruby:*", "ruby@" + digestA, true},
		// With a digest the tag is a decoration: it must not open a list of tags.
		{"ruby:3.*", "ruby:3.4@" + digestA, false},
		{"ruby:3.4", "ruby:3.4@" + digestA, false},
		{"ruby:3.4*", "ruby:3.4@" + digestA, false},
		{"ruby:[0-9]*", "ruby:3.4@" + digestA, false},
		{"ruby:{3.4,3.3}*", "ruby:3.4@" + digestA, false},
		{`ruby:3\.4`, "ruby:3.4", true},
		{"ruby:[", "ruby:3", false}, // a bad pattern takes nothing
		{"ruby:{3", "ruby:3", false},
	} {
		r, err := ParseReference(c.image)
		if err != nil {
			t.Fatal(c.image, err)
		}
		if got := Allowed(r, []string{"nothing-else", c.pattern}); got != c.want {
			t.Errorf("%s with %s: %t", c.image, c.pattern, got)
		}
	}
}

func TestNoListAllowsEveryImage(t *testing.T) {
	r, err := ParseReference("evil.example.com/x")
	if err != nil || !Allowed(r, nil) || Allowed(r, []string{"ruby:*"}) {
		t.Error(err)
	}
}

func TestPatternsThatCannotWorkAreNamed(t *testing.T) {
	for pattern, want := range map[string]string{
		"": "empty", "ruby:[": "[", `ruby\`: `\`, "ruby:{a,b": "{", "$CI_REGISTRY/*": "$", "a b": "white space",
		"{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}": "too many", "ruby:*": "", "**": "", "{a,{b,c}}": "", "a[{]b": "",
	} {
		if got := checkPattern(pattern); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", pattern, got, want)
		}
	}
}

// However an author writes the name of an image, the answer is the same.
func TestTheAnswerDependsOnTheImageOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, err := ParseReference(names().Draw(t, "image"))
		if err != nil {
			return
		}
		pattern := rapid.StringMatching(`(docker\.io/|index\.docker\.io/|library/|r\.example\.com(:5000)?/|\*\*/|\*/)?(ruby|\*|a/b|[a-d]*|r\?by)(:(\*|3\.\*|latest))?`).Draw(t, "pattern")
		want := Allowed(r, []string{pattern})
		for _, name := range r.spellings() {
			again, err := ParseReference(name + r.suffix())
			if err != nil || again.Name() != r.Name() {
				t.Fatalf("%s is %s, not %s (%v)", name, again.Name(), r.Name(), err)
			}
			if Allowed(again, []string{pattern}) != want {
				t.Fatalf("%s: %t as %s, not as %s", pattern, want, r.written, again.written)
			}
		}
	})
}
