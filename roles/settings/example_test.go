package settings

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const exampleFile = "../../config.example.toml"

func example(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// uncommented makes a setting of every line that is one behind a "# ", but for
// those of the given keys.
func uncommented(text string, but ...string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		key, _, ok := strings.Cut(strings.TrimPrefix(l, "# "), " = ")
		if ok && strings.HasPrefix(l, "# ") && bare(key) && !slices.Contains(but, key) {
			lines[i] = strings.TrimPrefix(l, "# ")
		}
	}
	return strings.Join(lines, "\n")
}

func bare(s string) bool {
	return only(s, func(c rune) bool { return c >= 'a' && c <= 'z' || c == '_' || digit(c) })
}

func TestExampleLoads(t *testing.T) {
	s, err := Parse(exampleFile, []byte(example(t)), testBases())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Warnings) > 0 {
		t.Errorf("the example warns: %v", s.Warnings)
	}
	if len(s.Rules) != 1 || s.Rules[0].Line != 1+strings.Count(example(t)[:strings.Index(example(t), "\n[[role]]")+1], "\n") {
		t.Errorf("rules: %+v", s.Rules)
	}
}

func TestEveryOptionOfTheExampleWorks(t *testing.T) {
	// Some settings exclude each other; each gets its turn.
	for _, but := range [][]string{{"same_user", "users"}, {"user", "users"}, {"user", "same_user", "builds_dir", "cache_dir"}} {
		text := uncommented(example(t), but...)
		if but[0] == "user" {
			text = strings.Replace(text, "\nuser = ", "\n# user = ", 1)
		}
		if _, err := Parse(exampleFile, []byte(text), testBases()); err != nil {
			t.Error(err)
		}
	}
}

// everyKey calls f for each key that is no table.
func everyKey(s *section, f func(s *section, e *entry)) {
	for i := range s.entries {
		e := &s.entries[i]
		if e.sub != nil {
			everyKey(e.sub, f)
			continue
		}
		f(s, e)
	}
}

// written is a default as it stands in a file.
func (e *entry) written() string {
	if e.kind == flag || e.kind == number {
		return e.def
	}
	return `"` + e.def + `"`
}

func TestExampleShowsEveryKeyWithItsDefault(t *testing.T) {
	raw, err := decode([]byte(uncommented(example(t))))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(example(t), "\n")
	everyKey(fileSection(testBases()), func(s *section, e *entry) {
		var at any = raw
		for part := range strings.SplitSeq(s.name, ".") {
			at = at.(map[string]any)[part]
			if list, ok := at.([]map[string]any); ok {
				at = list[0]
			}
		}
		if _, ok := at.(map[string]any)[e.name]; !ok {
			t.Errorf("%s of [%s] is missing", e.name, s.name)
		}
		if e.def != "" && !slices.Contains(lines, "# "+e.name+" = "+e.written()) {
			t.Errorf("%s of [%s]: the line %q is missing", e.name, s.name, "# "+e.name+" = "+e.written())
		}
		if e.required && !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, e.name+" = ") }) {
			t.Errorf("%s of [%s] is required, but commented out", e.name, s.name)
		}
	})
}
