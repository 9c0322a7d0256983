package strictjson

import (
	"encoding/json"
	"reflect"
	"testing"
)

// Whatever the text: taken apart by this package, it is what encoding/json
// understands, or an error.
func FuzzAgreesWithEncodingJSON(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"b":[1,2,{"c":"}"}],"\u0061\"":null}`, ` [ 1 , -2.5e3 , "," , "\\" , [ ] , { } , true ] `, `{"a":1,"a":2}`,
		`"\ud800"`, `[1]]`, `{"a" : {"b" : [ ] } , "c" : "\\\"" }`, "\"\xff\"", `{}`, `[]`, ` 7 `, "0\f", "\ftrue",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := Value(b).Object(); err == nil {
			want := map[string]json.RawMessage{}
			if err := json.Unmarshal(b, &want); err != nil || len(want) != len(o) {
				t.Fatalf("%q: %v, %d members, want %d", b, err, len(o), len(want))
			}
			for k, v := range o {
				same(t, v, want[k])
			}
		}
		if list, err := Value(b).Array(); err == nil {
			var want []json.RawMessage
			if err := json.Unmarshal(b, &want); err != nil || len(want) != len(list) {
				t.Fatalf("%q: %v, %d elements, want %d", b, err, len(list), len(want))
			}
			for i, v := range list {
				same(t, v, want[i])
			}
		}
		if s, err := Value(b).Text(); err == nil {
			var want string
			if err := json.Unmarshal(b, &want); err != nil || s != want {
				t.Fatalf("%q: %q, want %q, %v", b, s, want, err)
			}
		}
		if n, err := Value(b).Int(); err == nil {
			var want int64
			if err := json.Unmarshal(b, &want); err != nil || n != want {
				t.Fatalf("%q: %d, want %d, %v", b, n, want, err)
			}
		}
	})
}

func same(t *testing.T, got, want []byte) {
	t.Helper()
	var a, b any
	if json.Unmarshal(got, &a) != nil || json.Unmarshal(want, &b) != nil || !reflect.DeepEqual(a, b) {
		t.Fatalf("got %q, want %q", got, want)
	}
}
