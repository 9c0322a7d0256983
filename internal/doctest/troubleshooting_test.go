package doctest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const troublePage = "docs/troubleshooting.md"

// sources parses what is linked into the programs: no tests, no stand-ins.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	out := map[string]*ast.File{}
	for _, dir := range []string{"cmd", "executor", "internal", "roles"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name := d.Name()
			if d.IsDir() && (strings.HasPrefix(name, "fake") || slices.Contains([]string{"demo", "bench", "e2e", "doctest", "testdata"}, name)) {
				return filepath.SkipDir
			}
			if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			out[path] = file
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(out) < 100 {
		t.Fatalf("only %d files", len(out))
	}
	return out
}

// constant gives the text of a literal or of literals joined by +; anything else
// in between becomes a gap.
func constant(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			s, err := strconv.Unquote(e.Value)
			return s, err == nil
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			x, okX := constant(e.X)
			y, okY := constant(e.Y)
			if !okX {
				x = gap
			}
			if !okY {
				y = gap
			}
			return x + y, okX || okY
		}
	case *ast.ParenExpr:
		return constant(e.X)
	}
	return "", false
}

// gap stands for what is only known when a message is made.
const gap = "\x00"

// messages gives every text of the sources, verbs replaced by gaps.
func messages(t *testing.T) []string {
	t.Helper()
	verb := regexp.MustCompile(`%%|%[-+# 0-9.]*[a-zA-Z]`)
	text := func(s string) string {
		return verb.ReplaceAllStringFunc(s, func(v string) string {
			if v == "%%" {
				return "%"
			}
			return gap
		})
	}
	var out []string
	for _, file := range sources(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				if s, ok := constant(e); ok {
					out = append(out, text(s))
					return false
				}
			}
			return true
		})
	}
	return out
}

// entries gives the messages of the page: a heading of the third rank holds one
// or more, each in backquotes, with "..." for what varies.
func entries(t *testing.T) []string {
	t.Helper()
	var out []string
	for line := range strings.Lines(page(t, troublePage)) {
		if heading, ok := strings.CutPrefix(line, "### "); ok {
			found := quoted(heading)
			if len(found) == 0 {
				t.Errorf("the heading %q quotes no message", strings.TrimSpace(heading))
			}
			out = append(out, found...)
		}
	}
	return out
}

// Each quoted message is one that some program prints: its pieces stand in one
// text of the sources, in order.
func TestQuotedMessagesExist(t *testing.T) {
	texts := messages(t)
	list := entries(t)
	if len(list) < 40 {
		t.Errorf("only %d messages", len(list))
	}
	for _, entry := range list {
		if !slices.ContainsFunc(texts, func(text string) bool { return hasPieces(text, entry) }) {
			t.Errorf("no program says %q", entry)
		}
	}
}

// AWS's codes in the table are ones that the sources tell apart.
func TestDocumentedCodesAreToldApart(t *testing.T) {
	texts := messages(t)
	rows := table(section(t, troublePage, "## AWS says no"))
	if len(rows) < 5 {
		t.Errorf("%d codes", len(rows))
	}
	for _, row := range rows {
		if code := quoted(row[0])[0]; !slices.Contains(texts, code) {
			t.Errorf("no source knows %s", code)
		}
	}
}

func hasPieces(text, entry string) bool {
	for piece := range strings.SplitSeq(entry, "...") {
		piece = strings.TrimSpace(piece)
		i := strings.Index(text, piece)
		if i < 0 {
			return false
		}
		text = text[i+len(piece):]
	}
	return true
}

// operations gives the second argument of every fault.New, constants resolved.
func operations(t *testing.T) map[string]string {
	t.Helper()
	files := sources(t)
	// Names of constants are looked up within their directory: two packages may
	// have an "op" each.
	constants := map[string]map[string][]string{}
	for path, file := range files {
		dir := filepath.Dir(path)
		if constants[dir] == nil {
			constants[dir] = map[string][]string{}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok {
				for i, name := range spec.Names {
					if i < len(spec.Values) {
						if s, ok := constant(spec.Values[i]); ok {
							constants[dir][name.Name] = append(constants[dir][name.Name], s)
						}
					}
				}
			}
			return true
		})
	}
	found := map[string]string{}
	for path, file := range files {
		add := func(e ast.Expr) {
			if s, ok := constant(e); ok {
				found[s] = path
			}
			if id, ok := e.(*ast.Ident); ok {
				for _, s := range constants[filepath.Dir(path)][id.Name] {
					found[s] = path
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name := ""
			switch f := call.Fun.(type) {
			case *ast.SelectorExpr:
				if x, ok := f.X.(*ast.Ident); ok && x.Name == "fault" {
					name = "fault." + f.Sel.Name
				}
			case *ast.Ident:
				name = f.Name
			}
			switch {
			case name == "fault.New" && len(call.Args) == 5:
				add(call.Args[1])
			case name == "ioFault" && len(call.Args) == 3:
				add(call.Args[0])
			case name == "failed" && len(call.Args) == 4 && strings.Contains(path, "iamclient"):
				add(call.Args[1])
			}
			return true
		})
	}
	return found
}

// The page names every operation that an error can begin with, and no other.
func TestEveryOperationIsExplained(t *testing.T) {
	documented := map[string]bool{}
	for _, row := range table(section(t, troublePage, "## By what was being done")) {
		for _, op := range quoted(row[0]) {
			documented[op] = true
		}
	}
	ops := operations(t)
	if len(ops) < 40 {
		t.Fatalf("only %d operations found", len(ops))
	}
	for op, path := range ops {
		if !documented[op] {
			t.Errorf("%q (%s) is not in the table", op, path)
		}
		delete(documented, op)
	}
	for op := range documented {
		t.Errorf("nothing fails with %q", op)
	}
}
