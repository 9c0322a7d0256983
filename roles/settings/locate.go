package settings

import (
	"slices"
	"strings"
)

// The nesting that a configuration can have. EnvRole's own needs four levels;
// the limit keeps a hostile or broken file from exhausting the TOML parser,
// which recurses without one.
const maxDepth = 24

// located is what locate found out about a source text.
type located struct {
	root    *place
	repeats []repeat
	// deep is the line on which nesting goes beyond maxDepth; 0 if none does.
	deep int
}

// repeat is a key or table that is written twice.
type repeat struct {
	name  []string
	line  int
	first int
}

// locate finds the line of every key of a TOML text. The TOML library tells
// values and types, but positions only for syntax errors. On text that is not
// TOML it stops where it no longer understands, with what it has.
func locate(text string) located {
	s := &scanner{text: strings.TrimPrefix(text, "\ufeff"), line: 1}
	s.found.root = &place{} // line 0: the whole file
	s.table = s.found.root
	for s.statement() {
	}
	return s.found
}

// scanner walks over the text once. pos is a byte offset; line counts '\n'.
type scanner struct {
	text  string
	pos   int
	line  int
	table *place   // the table of the last header
	name  []string // its name
	found located
}

// statement reads one header or key = value; false at the end.
func (s *scanner) statement() bool {
	s.blank()
	switch {
	case s.pos >= len(s.text):
		return false
	case s.skip("[["):
		return s.header(true) && s.skip("]]")
	case s.skip("["):
		return s.header(false) && s.skip("]")
	default:
		return s.assignment(s.table, s.name, 0)
	}
}

// header reads the name of a table and makes it the current one.
func (s *scanner) header(array bool) bool {
	line := s.line
	name, ok := s.dotted()
	if !ok {
		return false
	}
	at := s.found.root
	for _, part := range name[:len(name)-1] {
		at = at.child(part, line).last()
	}
	at = at.child(name[len(name)-1], line)
	if array {
		if at.origin == byHeader || at.origin == byValue {
			s.repeated(at, name, line)
		}
		if at.origin != byHeads {
			at.origin, at.line = byHeads, line
		}
		item := &place{line: line, origin: byHeader}
		at.items = append(at.items, item)
		at = item
	} else {
		if at.origin != implied {
			s.repeated(at, name, line)
		} else {
			at.origin, at.line = byHeader, line
		}
		at = at.last()
	}
	s.table, s.name = at, name
	return true
}

// assignment reads key = value into table, whose name is prefix.
func (s *scanner) assignment(table *place, prefix []string, depth int) bool {
	line := s.line
	name, ok := s.dotted()
	if !ok || !s.skip("=") {
		return false
	}
	full := slices.Concat(prefix, name)
	at := table
	for i, part := range name[:len(name)-1] {
		at = at.child(part, line)
		if at.origin == byValue {
			s.repeated(at, full[:len(prefix)+i+1], line)
		}
		at = at.last()
	}
	at = at.child(name[len(name)-1], line)
	if at.origin != implied || len(at.keys) > 0 {
		s.repeated(at, full, line)
		at = &place{line: line} // its value is read, but belongs nowhere
	}
	at.origin, at.line = byValue, line
	return s.value(at, full, depth+1)
}

func (s *scanner) repeated(at *place, name []string, line int) {
	s.found.repeats = append(s.found.repeats, repeat{name: name, line: line, first: at.line})
}

// value reads one value and files the places of what is inside it below at.
func (s *scanner) value(at *place, name []string, depth int) bool {
	if depth > maxDepth {
		s.found.deep = s.line
		return false
	}
	s.space()
	switch {
	case s.pos >= len(s.text):
		return false
	case s.text[s.pos] == '"' || s.text[s.pos] == '\'':
		return s.str()
	case s.skip("["):
		return s.array(at, name, depth)
	case s.skip("{"):
		return s.inline(at, name, depth)
	}
	// A number, a boolean or a date: no such value holds one of these.
	n := strings.IndexAny(s.text[s.pos:], ",]}#\n")
	if n < 0 {
		n = len(s.text) - s.pos
	}
	s.pos += n
	return n > 0
}

// array reads the rest of [1, 2, 3].
func (s *scanner) array(at *place, name []string, depth int) bool {
	for {
		s.blank()
		if s.skip("]") {
			return true
		}
		item := &place{line: s.line, origin: byValue}
		at.items = append(at.items, item)
		if !s.value(item, name, depth+1) {
			return false
		}
		s.blank()
		if !s.skip(",") && !s.at("]") {
			return false
		}
	}
}

// inline reads the rest of {a = 1, b = 2}.
func (s *scanner) inline(at *place, name []string, depth int) bool {
	for {
		s.blank()
		if s.skip("}") {
			return true
		}
		if !s.assignment(at, name, depth) {
			return false
		}
		s.blank()
		if !s.skip(",") && !s.at("}") {
			return false
		}
	}
}
