package settings

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"envrole/roles/settings/schema"
)

// reader collects what is wrong while one file is read.
type reader struct {
	file     string
	schema   *section
	bases    []schema.Table
	problems Problems
	warnings Problems
}

// maxShown is how many characters of a rule's name messages show.
const maxShown = 60

// table is one table of the file after its keys were held against the schema:
// values holds only what has the right type.
type table struct {
	reader *reader
	sec    *section
	place  *place
	about  string // appended to messages: which rule it is
	values map[string]any
	tables map[string]*table
	rules  []*table // of the file itself: its [[role]] tables
	bad    map[string]bool
}

// table reads raw against sec. Every problem is noted; none stops the reading.
func (r *reader) table(sec *section, raw map[string]any, at *place) *table {
	t := &table{
		reader: r, sec: sec, place: at,
		values: make(map[string]any, len(raw)), tables: map[string]*table{}, bad: map[string]bool{},
	}
	if name, ok := raw["name"].(string); ok && sec.name == "role" {
		t.about = fmt.Sprintf(" (rule %.*q)", maxShown, name)
	}
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		e := sec.entry(name)
		if e == nil {
			t.unknown(name)
			continue
		}
		t.read(e, raw[name], at.key(name))
	}
	for i := range sec.entries {
		t.complete(&sec.entries[i], raw)
	}
	return t
}

func (t *table) unknown(name string) {
	msg := "unknown key"
	if near := suggest(t.reader.schema, t.sec, name); near != "" {
		msg += "; did you mean " + near + "?"
	}
	t.problem(quoted(name), t.place.key(name), "%s", msg)
}

// complete makes the tables that the file leaves out, so that their defaults
// count, and notes required keys that are missing.
func (t *table) complete(e *entry, raw map[string]any) {
	if e.kind == subsection && t.tables[e.name] == nil {
		r := t.reader
		if t.bad[e.name] { // enough is said of it: a reader apart hears the rest
			r = &reader{file: r.file, schema: r.schema}
		}
		t.tables[e.name] = r.table(e.sub, nil, nil)
	}
	if _, given := raw[e.name]; e.required && !given {
		t.problem(e.name, t.place, "missing; it has no default")
	}
}

// problem notes something wrong with a key of t.
func (t *table) problem(key string, at *place, format string, args ...any) {
	t.bad[key] = true
	t.reader.problems = append(t.reader.problems, t.note(key, at, fmt.Sprintf(format, args...)))
}

// warn notes something legal that deserves a look.
func (t *table) warn(key, format string, args ...any) {
	at := t.place
	if key != "" {
		at = at.key(key)
	}
	t.reader.warnings = append(t.reader.warnings, t.note(key, at, fmt.Sprintf(format, args...)))
}

func (t *table) note(key string, at *place, msg string) Problem {
	if t.sec.name != "" {
		key = strings.TrimSuffix(t.sec.name+"."+key, ".")
	}
	return Problem{File: t.reader.file, Line: at.lineOf(), Key: key, Msg: msg + t.about}
}

// quoted writes one part of a key so that it cannot be taken for anything else:
// in quotes and with escapes unless it is a bare one.
func quoted(name string) string {
	if only(name, func(c rune) bool { return letter(c) || digit(c) || c == '_' || c == '-' }) {
		return name
	}
	return strconv.Quote(name)
}

// text is the value of a key, its default if it is not given (or not good).
func (t *table) text(name string) string {
	if s, ok := t.values[name].(string); ok {
		return s
	}
	return t.sec.entry(name).def
}

func (t *table) flag(name string) bool {
	if b, ok := t.values[name].(bool); ok {
		return b
	}
	return t.sec.entry(name).def == "true"
}

// length is a duration's value.
func (t *table) length(name string) time.Duration {
	if d, ok := t.values[name].(time.Duration); ok {
		return d
	}
	d, err := time.ParseDuration(t.sec.entry(name).def)
	if err != nil {
		return 0 // the schema's defaults are durations, or empty
	}
	return d
}

func (t *table) number(name string) int64 {
	if n, ok := t.values[name].(int64); ok {
		return n
	}
	n, err := strconv.ParseInt(t.sec.entry(name).def, 10, 64)
	if err != nil {
		return 0 // the schema's defaults are numbers, or empty
	}
	return n
}

func (t *table) texts(name string) []string {
	list, _ := t.values[name].([]string)
	return list
}

// given says whether the file has a usable value for the key.
func (t *table) given(name string) bool { return t.values[name] != nil }
