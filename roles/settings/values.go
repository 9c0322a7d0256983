package settings

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// Each value of the file is held against its entry of the schema here: first
// its type, then what the entry says of a good value.

// read takes one value into t, if it has the right type and passes its check.
func (t *table) read(e *entry, v any, at *place) {
	switch e.kind {
	case text, flag, duration, number:
		t.scalar(e, v, at)
	case texts, ids:
		t.list(e, v, at)
	case textTable:
		t.textTable(e, v, at)
	case subsection:
		if m, ok := v.(map[string]any); ok {
			t.tables[e.name] = t.reader.table(e.sub, m, at)
			return
		}
		t.wrongType(e, v, at, "a table", "")
	case sections:
		t.sections(e, v, at)
	}
}

func (t *table) scalar(e *entry, v any, at *place) {
	s, isText := v.(string)
	switch {
	case e.kind == flag:
		if b, ok := v.(bool); ok {
			t.values[e.name] = b
			return
		}
		t.wrongType(e, v, at, "true or false", "; write it without quotes")
	case e.kind == number:
		t.wholeNumber(e, v, at)
	case e.kind == duration && isText:
		t.duration(e, s, at)
	case e.kind == duration:
		t.wrongType(e, v, at, "a duration", `; write it as a string with its unit, as in "30m"`)
	case !isText:
		t.wrongType(e, v, at, "a string", "")
	default:
		if msg := e.wrong(s); msg != "" {
			t.problem(e.name, at, "%s", msg)
			return
		}
		t.values[e.name] = s
	}
}

func (t *table) wholeNumber(e *entry, v any, at *place) {
	n, ok := v.(int64)
	switch {
	case !ok:
		t.wrongType(e, v, at, "a number", "")
	case n < e.least, n > e.most:
		t.problem(e.name, at, "%d is out of bounds: at least %d, at most %d", n, e.least, e.most)
	default:
		t.values[e.name] = n
	}
}

func (t *table) duration(e *entry, s string, at *place) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		t.problem(e.name, at, `%q is not a duration; write a number with its unit, as in "90s", "30m" or "1h"`, s)
	case e.min > 0 && d < e.min, e.max > 0 && d > e.max:
		t.problem(e.name, at, "%s is out of bounds: at least %s, at most %s", s, brief(e.min), brief(e.max))
	case d%time.Second != 0:
		t.problem(e.name, at, "%s is no whole number of seconds", s)
	default:
		t.values[e.name] = d
	}
}

// brief writes a duration without its empty parts: 15m, not 15m0s.
func brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (t *table) list(e *entry, v any, at *place) {
	list, ok := v.([]any)
	want, hint := "a list of strings", ""
	if e.kind == ids {
		want = "a list of numbers"
	} else if s, isText := v.(string); isText {
		hint = fmt.Sprintf("; write [%q]", s)
	}
	if !ok {
		t.wrongType(e, v, at, want, hint)
		return
	}
	if len(list) == 0 && !e.emptyOK {
		t.problem(e.name, at, "empty list; leave the key out")
		return
	}
	var outTexts []string
	var outIDs []int64
	for i, item := range list {
		switch item := item.(type) {
		case string:
			if msg := e.wrong(item); e.kind == texts && msg != "" {
				t.problem(e.name, at.item(i), "%s", msg)
			} else if e.kind == ids {
				t.wrongType(e, item, at.item(i), want, "; write it without quotes")
			}
			outTexts = append(outTexts, item)
		case int64:
			if e.kind == texts {
				t.wrongType(e, item, at.item(i), want, "; write it in quotes")
			}
			outIDs = append(outIDs, item)
		default:
			t.wrongType(e, item, at.item(i), want, "")
		}
	}
	if e.kind == ids {
		t.values[e.name] = outIDs
	} else {
		t.values[e.name] = outTexts
	}
}

func (t *table) textTable(e *entry, v any, at *place) {
	raw, ok := v.(map[string]any)
	if !ok {
		t.wrongType(e, v, at, "a table of strings", `; write { key = "value" }`)
		return
	}
	out := make(map[string]string, len(raw))
	for k, v := range raw {
		s, ok := v.(string)
		if !ok {
			t.problem(e.name+"."+quoted(k), at.key(k), "want a string, not %s", typeName(v))
			t.bad[e.name] = true
			continue
		}
		if msg := e.wrong(s); msg != "" && s != "" {
			t.problem(e.name+"."+quoted(k), at.key(k), "%s", msg)
			t.bad[e.name] = true
		}
		out[k] = s
	}
	t.values[e.name] = out
}

// sections reads an array of tables, written [[role]] or role = [{...}].
func (t *table) sections(e *entry, v any, at *place) {
	var list []map[string]any
	switch v := v.(type) {
	case []map[string]any:
		list = v
	case []any:
		for i, item := range v {
			m, ok := item.(map[string]any)
			if !ok {
				t.wrongType(e, item, at.item(i), "a table", "")
				continue
			}
			list = append(list, m)
		}
	default:
		t.wrongType(e, v, at, "a list of tables", "; write "+shown(e)+" in double brackets")
		return
	}
	for i, raw := range list {
		t.rules = append(t.rules, t.reader.table(e.sub, raw, at.item(i)))
	}
}

// wrong gives what is wrong with a single text of this kind, or "".
func (e *entry) wrong(s string) string {
	switch {
	case s == "":
		return "empty; leave the key out"
	case strings.ContainsFunc(s, e.unprintable):
		return "holds a control character or line break"
	case len(e.oneOf) > 0 && !slices.Contains(e.oneOf, s):
		return fmt.Sprintf("%q is not one of %s", s, choices(e.oneOf))
	case e.check != nil:
		return e.check(s)
	}
	return ""
}

// unprintable keeps out what could fake a line in a log or hide in a terminal.
func (e *entry) unprintable(r rune) bool {
	if e.lines && unicode.IsSpace(r) {
		return false
	}
	return unicode.IsControl(r)
}

func choices(values []string) string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = fmt.Sprintf("%q", v)
	}
	return strings.Join(list, ", ")
}

func (t *table) wrongType(e *entry, v any, at *place, want, hint string) {
	t.problem(e.name, at, "want %s, not %s%s", want, typeName(v), hint)
}

// typeName names the TOML type of a decoded value.
func typeName(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "a number"
	case float64:
		return "a fraction"
	case bool:
		return "true or false"
	case time.Time:
		return "a date"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	case []map[string]any:
		return "a list of tables"
	}
	return fmt.Sprintf("%T", v)
}
