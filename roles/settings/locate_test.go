package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// tree writes every place as path:line, in the order of the paths.
func tree(p *place, prefix string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(p.keys)) {
		c := p.keys[k]
		path := strings.TrimPrefix(prefix+"."+quoted(k), ".")
		out = append(out, fmt.Sprintf("%s:%d", path, c.line))
		out = append(out, tree(c, path)...)
	}
	for i, c := range p.items {
		path := fmt.Sprintf("%s[%d]", prefix, i)
		out = append(out, fmt.Sprintf("%s:%d", path, c.line))
		out = append(out, tree(c, path)...)
	}
	return out
}

func TestLocateFindsTheLineOfEveryKey(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"keys and tables":                 {"a = 1\n\n[b]\nc = 2 # d = 3\n", "a:1 b:3 b.c:4"},
		"carriage returns":                {"a = 1\r\n[b]\r\nc = 2\r\n", "a:1 b:2 b.c:3"},
		"byte order mark":                 {"\ufeffa = 1\nb = 2", "a:1 b:2"},
		"no line end":                     {"a=1", "a:1"},
		"comments":                        {"# a = 1\n# [x]\nb = 2 # [[y]]\n#", "b:3"},
		"dotted":                          {"a.b.c = 1\na.b.d = 2\n[e]\nf . g = 3\n", "a:1 a.b:1 a.b.c:1 a.b.d:2 e:3 e.f:4 e.f.g:4"},
		"quoted":                          {"\"a.b\" = 1\n'c d' = 2\n[x.\"y # z\"]\n\"\\u0061\" = 3\n\"\" = 4", `"a.b":1 "c d":2 x:3 x."y # z":3 x."y # z"."":5 x."y # z".a:4`},
		"implied, then made":              {"[a.b]\nc = 1\n[a]\nd = 2", "a:3 a.b:1 a.b.c:2 a.d:4"},
		"arrays of tables":                {"[[r]]\na=1\n[[r]]\na=2\n[r.t]\nb=3\n[[r.u]]\nc=4\n", "r:1 r[0]:1 r[0].a:2 r[1]:3 r[1].a:4 r[1].t:5 r[1].t.b:6 r[1].u:7 r[1].u[0]:7 r[1].u[0].c:8"},
		"array over lines":                {"a = [ # ]\n 1,\n\n [ 2,\n3 ], # 4,\n]\nb = 1", "a:1 a[0]:2 a[1]:4 a[1][0]:4 a[1][1]:5 b:7"},
		"inline tables":                   {"a = { b = 1, c = { d = 2 } }\ne = {}\nf = [ {g = 1},\n{g = 2} ]", "a:1 a.b:1 a.c:1 a.c.d:1 e:2 f:3 f[0]:3 f[0].g:3 f[1]:4 f[1].g:4"},
		"inline over lines":               {"a = {\n b = 1, # x = 2\n c = [\n],\n}\nd = 1", "a:1 a.b:2 a.c:3 d:6"},
		"raw long string":                 {"a = '''\n[x]\nb = 1 # '\n''\n'''\nc = 2", "a:1 c:6"},
		"long string":                     {"a = \"\"\"\n[x]\n\\\"\"\" b = 1\n\\\\\"\"\"\nc = 2", "a:1 c:5"},
		"long string that ends in quotes": {"a = \"\"\"x\"\"\"\"\"\nb = '''y''''\nc = 1", "a:1 b:2 c:3"},
		"long string, folded lines":       {"a = \"\"\"x \\\n  y \\\r\n z\"\"\"\nb = 1", "a:1 b:4"},
		"empty strings":                   {"a = \"\"\nb = ''\nc = \"\"\"\"\"\"\nd = ''''''\ne = 1", "a:1 b:2 c:3 d:4 e:5"},
		"quotes in strings":               {"a = \"\\\"#\"\nb = '\"\\'\nc = [ \"]\", '}', \"\\\\\" ]\nd=1", "a:1 b:2 c:3 c[0]:3 c[1]:3 c[2]:3 d:4"},
		"numbers and dates":               {"a = 1979-05-27 07:32:00Z # x\nb = -1.5e3\nc = [1979-05-27,07:32:00]\nd=true", "a:1 b:2 c:3 c[0]:3 c[1]:3 d:4"},
		"broken text ends it":             {"a = 1\nb = [ 1 2\nc = 3\n", "a:1 b:2 b[0]:2"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Join(tree(locate(c.text).root, ""), " "); got != c.want {
				t.Errorf("locate(%q):\n%s\nwant:\n%s", c.text, got, c.want)
			}
			if name == "broken text ends it" {
				return
			}
			// The cases themselves must be TOML, or they prove nothing.
			raw, err := decode([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if missing := unplaced(raw, locate(c.text).root, ""); missing != "" {
				t.Errorf("no place for %s", missing)
			}
		})
	}
}

// unplaced gives a value that has no place, "" if all have one.
func unplaced(v any, p *place, path string) string {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if p.keys[k] == nil {
				return path + "." + toml.Key{k}.String()
			}
			if k == "" {
				continue // the library loses part of such a key's array: ''.x = [0, {}]
			}
			if missing := unplaced(e, p.keys[k], path+"."+k); missing != "" {
				return missing
			}
		}
	case []map[string]any:
		for i, e := range v {
			if missing := unplacedItem(e, p, i, path); missing != "" {
				return missing
			}
		}
	case []any:
		for i, e := range v {
			if missing := unplacedItem(e, p, i, path); missing != "" {
				return missing
			}
		}
	}
	return ""
}

func unplacedItem(v any, p *place, i int, path string) string {
	if i >= len(p.items) {
		return fmt.Sprintf("%s[%d]", path, i)
	}
	return unplaced(v, p.items[i], fmt.Sprintf("%s[%d]", path, i))
}
