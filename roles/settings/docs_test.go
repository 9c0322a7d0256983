package settings

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const docsFile = "../../docs/configuration.md"

func docs(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestExamplesOfTheDocumentationParse completes each with the tables that a
// file must have, where the example leaves them out.
func TestExamplesOfTheDocumentationParse(t *testing.T) {
	bases, err := os.ReadFile("../../docs/bases.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(docs(t)+string(bases), "```toml\n")[1:]
	if len(parts) < 14 {
		t.Fatalf("%d examples found", len(parts))
	}
	for _, part := range parts {
		text, _, _ := strings.Cut(part, "```")
		for table := range strings.SplitSeq(strings.TrimPrefix(head, "["), "\n[") {
			if header, _, _ := strings.Cut(table, "\n"); !strings.Contains(text, "["+header) {
				text += "\n[" + table
			}
		}
		s, err := Parse(docsFile, []byte(text), testBases())
		if err != nil {
			t.Errorf("%v in\n%s", err, text)
			continue
		}
		if len(s.Rules) == 0 {
			continue // "no rules" is true of it, and no fault of the example
		}
		for _, w := range s.Warnings {
			if !strings.HasPrefix(w.Key, "role") {
				t.Errorf("an example warns: %s", w)
			}
		}
	}
}

// rowsOf gives the rows of the tables below a heading, up to the next one of
// the same rank, by what their first cell holds in backquotes.
func rowsOf(text, heading string) map[string][]string {
	_, below, _ := strings.Cut(text, "\n"+heading+"\n")
	rank, _, _ := strings.Cut(heading, " ")
	below, _, _ = strings.Cut(below, "\n"+rank+" ")
	rows := map[string][]string{}
	for line := range strings.SplitSeq(below, "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if strings.HasPrefix(line, "| `") && len(cells) == 4 {
			rows[strings.Trim(cells[0], "`")] = cells
		}
	}
	return rows
}

func TestDocumentationHasEveryKeyWithTypeAndDefault(t *testing.T) {
	page := docs(t)
	types := map[kind]string{text: "text", texts: "list", ids: "ids", flag: "flag", duration: "duration", number: "number", textTable: "table"}
	seen := map[string]map[string]bool{}
	everyKey(fileSection(testBases()), func(s *section, e *entry) {
		heading := "## [" + s.name + "]"
		if s.name == "role" {
			heading = "## [[role]]"
		}
		if seen[heading] == nil {
			seen[heading] = map[string]bool{}
		}
		seen[heading][e.name] = true
		row := rowsOf(page, heading)[e.name]
		switch {
		case row == nil:
			t.Errorf("%s has no row below %s", e.name, heading)
		case row[1] != types[e.kind]:
			t.Errorf("%s below %s is documented as %s, but is %s", e.name, heading, row[1], types[e.kind])
		case e.required && row[2] != "required",
			e.def != "" && row[2] != "`"+e.written()+"`",
			e.def == "" && strings.HasPrefix(row[2], "`\""):
			t.Errorf("%s below %s: default %s, want %q (required: %t)", e.name, heading, row[2], e.written(), e.required)
		case len(e.oneOf) > 0 && !mentions(row[3], e.oneOf):
			t.Errorf("%s below %s does not list %q", e.name, heading, e.oneOf)
		case e.most > 0 && !strings.Contains(row[3], fmt.Sprintf("`%d` to `%d`", e.least, e.most)):
			t.Errorf("%s below %s does not name its bounds, %d to %d", e.name, heading, e.least, e.most)
		case e.max > 0 && s.name != "session" && !strings.Contains(row[3], "`"+brief(e.min)+"` to `"+brief(e.max)+"`"):
			t.Errorf("%s below %s does not name its bounds, %s to %s", e.name, heading, brief(e.min), brief(e.max))
		}
	})
	for heading, keys := range seen {
		for key := range rowsOf(page, heading) {
			if !keys[key] {
				t.Errorf("the documentation has a key %q below %s, the reader has not", key, heading)
			}
		}
	}
}

func mentions(text string, lists ...[]string) bool {
	for _, list := range lists {
		for _, word := range list {
			if !strings.Contains(text, word) {
				return false
			}
		}
	}
	return true
}

// TestDocumentationNamesEveryRefusedVariable keeps the table of pass_env whole.
func TestDocumentationNamesEveryRefusedVariable(t *testing.T) {
	text := docs(t)
	for _, r := range envRefusals {
		for _, name := range r.names {
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("%s is not documented", name)
			}
		}
		for _, prefix := range r.prefixes {
			if !strings.Contains(text, "`"+prefix+"*`") {
				t.Errorf("%s* is not documented", prefix)
			}
		}
	}
}
