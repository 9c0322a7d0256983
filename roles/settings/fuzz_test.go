package settings

import (
	"errors"
	"os"
	"strings"
	"testing"
	"unicode"
)

// FuzzParse: no text makes Parse panic; whatever it accepts holds valid rules
// only; every problem lies within the file and on one line; and the places that
// messages are taken from cover all values.
func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Add(head)
	if b, err := os.ReadFile(exampleFile); err == nil {
		f.Add(string(b))
		f.Add(uncommented(string(b)))
	}
	f.Add("role = [{name='a'},{}]\n[gitlab]\nurl=1\nx.y.'z'=[1,{a=2}]\n")
	f.Add(good + "tags.a = 'x'\n" + rule + "tags = 'b'\ntags = 'c'\n")
	f.Add("a = \"\"\"\n\\\n\"\"\"\"\n[b]\n'c'.\"\\u0064\" = '''\n''''\n")
	f.Add("\"a\\n\\u001b\" = ?")
	f.Add("a = [[[1]]]\nb = {c={d={}}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		found := locate(text)
		lines := 1 + strings.Count(text, "\n")
		s, err := Parse("f", []byte(text), testBases())
		if err != nil {
			var ps Problems
			if !errors.As(err, &ps) || len(ps) == 0 {
				t.Fatalf("%T: %v", err, err)
			}
			within(t, ps, lines)
		} else {
			within(t, s.Warnings, lines)
			for i := range s.Rules {
				for _, p := range s.Rules[i].Check() {
					if !p.Warning {
						t.Fatalf("accepted a bad rule: %+v", p)
					}
				}
			}
		}
		if found.deep > 0 {
			return
		}
		if raw, err := decode([]byte(text)); err == nil && len(found.repeats) == 0 {
			if missing := unplaced(raw, found.root, ""); missing != "" {
				t.Fatalf("no place for %s", missing)
			}
		}
	})
}

func within(t *testing.T, ps []Problem, lines int) {
	t.Helper()
	for _, p := range ps {
		if p.Line < 0 || p.Line > lines {
			t.Fatalf("line %d of %d: %s", p.Line, lines, p)
		}
		if strings.ContainsFunc(p.String(), func(r rune) bool { return !unicode.IsPrint(r) }) || p.Msg == "" {
			t.Fatalf("not one line: %q", p.String())
		}
	}
}
