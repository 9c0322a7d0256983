package job

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// edited reads a payload from testdata, lets change edit it, and gives the text.
func edited(t *testing.T, file string, change func(m map[string]any)) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	dec := json.NewDecoder(strings.NewReader(string(b)))
	dec.UseNumber()
	if err := dec.Decode(&m); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(m)
	}
	out, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func payload(t *testing.T, file string, change func(m map[string]any)) *Payload {
	t.Helper()
	p, err := ParsePayload(strings.NewReader(edited(t, file, change)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func in(m map[string]any, key string) map[string]any {
	o, _ := m[key].(map[string]any)
	return o
}

// vars makes a payload with these variables: key, value, key, value, ...
func vars(pairs ...string) *Payload {
	p := &Payload{}
	for i := 0; i+1 < len(pairs); i += 2 {
		p.Variables = append(p.Variables, Variable{Key: pairs[i], Value: pairs[i+1]})
	}
	return p
}
