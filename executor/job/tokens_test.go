package job

import (
	"fmt"
	"strings"
	"testing"
)

// withValues makes a payload whose variables have these values.
func withValues(t *testing.T, values ...string) *Payload {
	t.Helper()
	return payload(t, "honest_production.json", func(m map[string]any) {
		var list []any
		for i, v := range values {
			list = append(list, map[string]any{"key": fmt.Sprintf("V%d", i), "value": v})
		}
		m["variables"] = list
	})
}

func TestTokensAreFoundByTheirForm(t *testing.T) {
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln"
	for _, c := range []struct {
		name   string
		values []string
		found  int
	}{
		{"none", []string{"main", "", "a.b.c"}, 0},
		{"one, whatever its name", []string{"x", token}, 1},
		{"a copy counts once", []string{token, token}, 1},
		{"two", []string{token, token + "x"}, 2},
		{"without signature", []string{"eyJhbGciOiJub25lIn0.eyJhIjoxfQ."}, 1},
		{"two parts", []string{"eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ"}, 0},
		{"four parts", []string{token + ".x"}, 0},
		{"five parts, encrypted", []string{token + ".x.y"}, 0},
		{"white space inside", []string{"eyJhbGciOiJSUzI1NiJ9.eyJh IjoxfQ.c2ln"}, 0},
		{"part of a text", []string{"Bearer " + token}, 0},
	} {
		if p := withValues(t, c.values...); len(p.Tokens) != c.found || p.TokensLeftOut != 0 {
			t.Errorf("%s: %d found, %d left out", c.name, len(p.Tokens), p.TokensLeftOut)
		}
	}
}

func TestTokensAreBounded(t *testing.T) {
	long := "eyJ" + strings.Repeat("a", 1<<20) + ".b.c"
	if p := withValues(t, long, "eyJ.a.b"); len(p.Tokens) != 1 || p.TokensLeftOut != 1 {
		t.Errorf("1 MB: %d found, %d left out", len(p.Tokens), p.TokensLeftOut)
	}
	var many []string
	for i := range MaxTokens + 3 {
		many = append(many, fmt.Sprintf("eyJ.%d.b", i))
	}
	if p := withValues(t, many...); len(p.Tokens) != MaxTokens || p.TokensLeftOut != 3 {
		t.Errorf("many: %d found, %d left out", len(p.Tokens), p.TokensLeftOut)
	}
}

func TestTokensDoNotPrint(t *testing.T) {
	p := withValues(t, "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln")
	if s := fmt.Sprintf("%+v %#v", p, p); strings.Contains(s, "eyJ") {
		t.Error(s)
	}
}
