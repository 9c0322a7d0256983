package roles

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPatternMatchesTheWholeString(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"production", "production", true},
		{"production", "Production", false},
		{"production", "production2", false},
		{"production", "xproduction", false},
		{"*", "", true},
		{"*", "a/b\nc", true},
		{"a*", "a", true},
		{"review/*", "review/a/b", true},
		{"review/*", "review/", true},
		{"review/*", "review", false},
		{"*/prod", "eu/west/prod", true},
		{"*/prod", "eu/prod/x", false},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"a*b*c", "abbc", true},
		{"a*b*c", "acb", false},
		{"*ab*ab", "ab", false},
		{"**", "x", true},
		{"a.c", "abc", false},
		{"a?c", "abc", false},
		{"[ab]", "a", false},
		{`a\*`, "a*", false},
		{"", "", true},
		{"", "a", false},
	} {
		if got := Pattern(c.pattern).Match(c.s); got != c.want {
			t.Errorf("Pattern(%q).Match(%q) = %v", c.pattern, c.s, got)
		}
	}
}

// slowMatch is the definition: p matches s with * as any run.
func slowMatch(p, s string) bool {
	fits := make([]bool, len(s)+1)
	fits[0] = true
	for i := range len(p) {
		next := make([]bool, len(s)+1)
		for j := range fits {
			if p[i] == '*' {
				next[j] = fits[j] || j > 0 && next[j-1]
			} else if j > 0 {
				next[j] = fits[j-1] && p[i] == s[j-1]
			}
		}
		fits = next
	}
	return fits[len(s)]
}

func FuzzPattern(f *testing.F) {
	f.Add("a*b*c", "abbc")
	f.Add("*a*a*a*b", "aaaaaaaaaaaaaaaa")
	f.Fuzz(func(t *testing.T, p, s string) {
		if len(p) > 200 || len(s) > 2000 {
			return
		}
		if got, want := Pattern(p).Match(s), slowMatch(p, s); got != want {
			t.Fatalf("Pattern(%q).Match(%q) = %v", p, s, got)
		}
	})
}

func TestPatternAgreesWithItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringMatching(`[ab*]{0,8}`).Draw(t, "p")
		s := rapid.StringMatching(`[ab]{0,12}`).Draw(t, "s")
		if got, want := Pattern(p).Match(s), slowMatch(p, s); got != want {
			t.Fatalf("Pattern(%q).Match(%q) = %v", p, s, got)
		}
	})
}

func TestPatternCoversIsSound(t *testing.T) {
	covered := 0
	rapid.Check(t, func(t *rapid.T) {
		p := Pattern(rapid.StringMatching(`[ab*]{0,6}`).Draw(t, "p"))
		q := Pattern(rapid.StringMatching(`[ab*]{0,6}`).Draw(t, "q"))
		s := strings.ReplaceAll(string(q), "*", rapid.StringMatching(`[ab*]{0,3}`).Draw(t, "run"))
		if !p.covers(q) {
			return
		}
		covered++
		if !p.Match(s) {
			t.Fatalf("%q covers %q but not its match %q", p, q, s)
		}
	})
	if covered == 0 {
		t.Fatal("the property was never put to the test")
	}
}

// A backtracking matcher would not come back from this.
func TestPatternSurvivesHostileText(t *testing.T) {
	p := Pattern(strings.Repeat("a*", 500) + "b")
	if p.Match(strings.Repeat("a", 1<<20)) {
		t.Error("matched")
	}
}

func TestPatternValidate(t *testing.T) {
	for _, c := range []struct {
		name, pattern string
		ok            bool
	}{
		{"plain", "release/*", true},
		{"inner space", "QA Env 2", true},
		{"not ASCII", "prüfung", true},
		{"longest", strings.Repeat("a", 1024), true},
		{"empty", "", false},
		{"too long", strings.Repeat("a", 1025), false},
		{"newline", "a\nb", false},
		{"escape", "a\x1b[31m", false},
		{"DEL", "a\x7f", false},
		{"C1", "a\u009bb", false},
		{"text direction", "a\u202eb", false},
		{"zero width", "a\u200bb", false},
		{"not UTF-8", "a\xff", false},
		{"leading space", " a", false},
		{"trailing tab", "a\t", false},
	} {
		err := Pattern(c.pattern).Validate()
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\x1b\x7f\u009b\u202e") {
			t.Errorf("%s: the message holds raw control characters: %q", c.name, err)
		}
	}
}

func TestPatternLiteral(t *testing.T) {
	if !Pattern("a/b").Literal() || Pattern("a/*").Literal() {
		t.Error("Literal is about the wildcard")
	}
}
