// Package doctest holds the documentation to the code: every policy, command,
// table, message and link that a page shows is read from the page and checked
// against what the programs really do.
package doctest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is the repository's, as tests run in their own directory.
const root = "../.."

// pages lists every Markdown page, relative to root.
func pages(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != root && (strings.HasPrefix(name, ".") || name == "bin" || name == "testdata") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(name, ".md") {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			out = append(out, rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 8 {
		t.Fatalf("only %d pages found: %q", len(out), out)
	}
	return out
}

// page gives a page's text, by its path relative to root.
func page(t *testing.T, rel string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, rel))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// block is one fenced block of a page.
type block struct {
	page, lang, text string
	line             int    // of its first line of text
	heading          string // the nearest above it, without the hashes
}

// blocks gives the fenced blocks of a page in order. A fence may be indented, as
// in a list; so much is taken off each of its lines.
func blocks(t *testing.T, rel string) []block {
	t.Helper()
	var out []block
	var open *block
	indent, heading := "", ""
	for i, line := range strings.Split(page(t, rel), "\n") {
		trimmed := strings.TrimLeft(line, " ")
		lang, fence := strings.CutPrefix(trimmed, "```")
		switch {
		case open == nil && fence:
			indent = line[:len(line)-len(trimmed)]
			open = &block{page: rel, lang: lang, line: i + 2, heading: heading}
		case open != nil && fence && lang == "":
			out, open = append(out, *open), nil
		case open != nil:
			open.text += strings.TrimPrefix(line, indent) + "\n"
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
	}
	if open != nil {
		t.Errorf("%s:%d: the block is never closed", rel, open.line)
	}
	return out
}

// blocksOf gives the blocks of a language, of one page or, with "", of all.
func blocksOf(t *testing.T, rel, lang string) []block {
	t.Helper()
	list := []string{rel}
	if rel == "" {
		list = pages(t)
	}
	var out []block
	for _, p := range list {
		for _, b := range blocks(t, p) {
			if b.lang == lang {
				out = append(out, b)
			}
		}
	}
	return out
}

// section gives what stands below a heading ("## Events"), up to the next one of
// the same or a higher rank.
func section(t *testing.T, rel, heading string) string {
	t.Helper()
	text := page(t, rel)
	_, below, found := strings.Cut(text, "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", rel, heading)
	}
	rank := strings.IndexByte(heading, ' ')
	var out strings.Builder
	fenced := false
	for line := range strings.Lines(below) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		}
		if n := strings.IndexByte(line, ' '); !fenced && n > 0 && n <= rank && strings.Trim(line[:n], "#") == "" {
			break
		}
		out.WriteString(line)
	}
	return out.String()
}

// table gives the rows of the first table in text, each as its cells.
func table(text string) [][]string {
	var rows [][]string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			if len(rows) > 0 {
				break
			}
			continue
		}
		if strings.Trim(line, "|-: ") == "" {
			continue
		}
		// A bar inside of a cell is written \|.
		cells := strings.Split(strings.ReplaceAll(strings.Trim(line, "|"), `\|`, "\x00"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(strings.ReplaceAll(cells[i], "\x00", "|"))
		}
		rows = append(rows, cells)
	}
	if len(rows) > 0 {
		rows = rows[1:] // the header
	}
	return rows
}

// quoted gives what stands between backquotes in text.
func quoted(text string) []string {
	var out []string
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 && part != "" {
			out = append(out, part)
		}
	}
	return out
}
