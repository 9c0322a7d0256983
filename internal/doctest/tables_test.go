package doctest

import (
	"encoding/json"
	"go/ast"
	"net"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"envrole/executor/shell"
	"envrole/internal/handover"
	"envrole/internal/version"
	"envrole/roles"
	"envrole/roles/revoke"
	"envrole/roles/session"
)

const operatingPage = "docs/operating.md"

// events reads the constants of internal/audit, and which of them are written
// as warnings.
func events(t *testing.T) (all map[string]bool, warnings map[string]bool) {
	t.Helper()
	names, all, warnings := map[string]string{}, map[string]bool{}, map[string]bool{}
	for path, file := range sources(t) {
		if filepath.Base(path) != "audit.go" {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if id, ok := n.Type.(*ast.Ident); ok && id.Name == "Event" {
					s, _ := constant(n.Values[0])
					names[n.Names[0].Name], all[s] = s, true
				}
			case *ast.CaseClause:
				for _, e := range n.List {
					if id, ok := e.(*ast.Ident); ok {
						warnings[id.Name] = true
					}
				}
			}
			return true
		})
	}
	levels := map[string]bool{}
	for name := range warnings {
		levels[names[name]] = true
	}
	return all, levels
}

func TestAuditEventsAreDocumented(t *testing.T) {
	all, warnings := events(t)
	if len(all) < 10 || len(warnings) < 3 {
		t.Fatalf("%d events, %d warnings", len(all), len(warnings))
	}
	for _, row := range table(section(t, operatingPage, "## Audit events")) {
		event := strings.Trim(row[0], "`")
		if !all[event] {
			t.Errorf("there is no event %q", event)
		}
		delete(all, event)
		if want := map[bool]string{true: "warning", false: "info"}[warnings[event]]; row[1] != want {
			t.Errorf("%s is documented as %s, but is %s", event, row[1], want)
		}
	}
	for event := range all {
		t.Errorf("the event %q is not documented", event)
	}
}

// The fields of the page are those that some event is written with.
func TestAuditFieldsAreDocumented(t *testing.T) {
	written := map[string]bool{}
	for path, file := range sources(t) {
		if !strings.Contains(path, "internal/stage") && !strings.Contains(path, "internal/admin") {
			continue
		}
		add := func(e ast.Expr) {
			if s, ok := constant(e); ok {
				written[s] = true
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				sel, ok := n.Type.(*ast.SelectorExpr)
				if !ok || sel.Sel.Name != "Fields" {
					return true
				}
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok {
						add(kv.Key)
					}
				}
			case *ast.IndexExpr:
				if id, ok := n.X.(*ast.Ident); ok && id.Name == "fields" {
					add(n.Index)
				}
			}
			return true
		})
	}
	if len(written) < 30 {
		t.Fatalf("only %d fields found", len(written))
	}
	_, below, found := strings.Cut(section(t, operatingPage, "## Audit events"), "The other fields, by event:")
	if !found {
		t.Fatal("the table of fields is not there")
	}
	documented := map[string]bool{}
	for _, row := range table(below) {
		// What stands in parentheses explains a field.
		for _, f := range quoted(regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(row[1], "")) {
			documented[f] = true
		}
	}
	for f := range written {
		if !documented[f] {
			t.Errorf("the field %q is not documented", f)
		}
		delete(documented, f)
	}
	for f := range documented {
		t.Errorf("no event has the field %q", f)
	}
}

func TestSessionTagsAreDocumented(t *testing.T) {
	tags, err := session.Tags(installFacts())
	if err != nil {
		t.Fatal(err)
	}
	rows := table(section(t, "docs/security.md", "## Session tags"))
	if len(rows) != len(tags) {
		t.Errorf("%d rows, %d tags", len(rows), len(tags))
	}
	for _, row := range rows {
		i := slices.IndexFunc(tags, func(tag session.Tag) bool { return "`"+tag.Key+"`" == row[0] })
		if i < 0 {
			t.Errorf("there is no tag %s", row[0])
		} else if (row[2] == "yes") != tags[i].Exact {
			t.Errorf("%s: exact is %t", row[0], tags[i].Exact)
		}
	}
}

func TestWhatAJobGetsIsDocumented(t *testing.T) {
	text := section(t, "docs/security.md", "## What a job gets")
	session := handover.Session{}
	for _, kv := range append(session.Env(handover.Instant{}), "AWS_EC2_METADATA_DISABLED=true") {
		name, _, _ := strings.Cut(kv, "=")
		if !slices.ContainsFunc(quoted(text), func(q string) bool { return strings.HasPrefix(q, name) }) {
			t.Errorf("%s is not documented", name)
		}
	}
}

func TestMetadataAddressesAreDocumented(t *testing.T) {
	text := strings.Join(strings.Fields(section(t, "docs/security.md", "## Why the metadata service must be out of reach")), " ")
	for _, addr := range shell.MetadataAddresses() {
		host, _, err := net.SplitHostPort(addr)
		if err != nil || !regexp.MustCompile(regexp.QuoteMeta(host)+`[ ,.]`).MatchString(text) {
			t.Errorf("%s is not documented: %v", addr, err)
		}
	}
}

func TestChangelogHasThisVersion(t *testing.T) {
	if !strings.Contains(page(t, "CHANGELOG.md"), "\n## ["+version.Number+"] - ") {
		t.Errorf("no entry for %s", version.Number)
	}
}

func TestTheDocumentedDenyIsTheOneThatIsWritten(t *testing.T) {
	list := blocksOf(t, "docs/revocation.md", "json")
	if len(list) != 1 {
		t.Fatalf("%d policies", len(list))
	}
	name := regexp.MustCompile(`gl-\d+-[a-z2-7]{13}`).FindString(list[0].text)
	doc, err := revoke.Document([]revoke.Entry{{SessionName: name}})
	if err != nil {
		t.Fatal(err)
	}
	var want, have any
	if err := json.Unmarshal([]byte(doc), &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(list[0].text), &have); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(want, have) {
		t.Errorf("written is %s", doc)
	}
}

// The numbers that pages repeat are those of the code.
func TestNumbersAreThoseOfTheCode(t *testing.T) {
	if s := page(t, "docs/revocation.md"); !strings.Contains(s, "share 10,240 characters") || revoke.MaxPolicyChars != 10240 {
		t.Error("the room on a role")
	}
	if revoke.Margin.Minutes() != 15 {
		t.Error("the margin is no longer the 15 minutes that the pages say")
	}
	if roles.RevokeLocal != "local" {
		t.Error("revoke = \"local\" has another name")
	}
	for _, c := range []struct{ file, constant, page, says string }{
		{"internal/stage/prepare/sweep.go", "leftovers", operatingPage, "Prepare settles up to 5 leftovers"},
		{"internal/stage/cleanup/cleanup.go", "leftovers", operatingPage, "cleanup settles up to 20"},
	} {
		value := ""
		ast.Inspect(sources(t)[filepath.Join(root, c.file)], func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && spec.Names[0].Name == c.constant {
				if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
					value = lit.Value
				}
			}
			return true
		})
		text := strings.Join(strings.Fields(page(t, c.page)), " ")
		if _, err := strconv.Atoi(value); err != nil || !strings.Contains(text, c.says) || !strings.Contains(c.says, value) {
			t.Errorf("%s: %s is %q, the page should say %q", c.file, c.constant, value, c.says)
		}
	}
}
