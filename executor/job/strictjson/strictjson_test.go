package strictjson

import (
	"errors"
	"testing"
)

func TestObjectIsTakenByExactKeysAndOnce(t *testing.T) {
	o, err := Value(` {"id": 1, "ID": 2, "in": {"a": [1, 2]}, "n": null} `).Object()
	if err != nil {
		t.Fatal(err)
	}
	if id, err := o["id"].Int(); err != nil || id != 1 {
		t.Errorf("id = %d, %v", id, err)
	}
	if !o["n"].Null() || o["missing"].Present() || !o["in"].Present() {
		t.Error("null, absent and present are mixed up")
	}
}

func TestWhatIsNotTheObjectAskedForIsAnError(t *testing.T) {
	for text, want := range map[string]error{
		``:                   ErrSyntax,
		`[]`:                 ErrObject,
		`"{}"`:               ErrObject,
		`null`:               ErrObject,
		`{"a":1,"a":2}`:      ErrDuplicate,
		`{"a":1,"\u0061":2}`: ErrDuplicate,
		`{"a":1} {}`:         ErrSyntax,
		`{"a":1}x`:           ErrSyntax,
		`{"a":1`:             ErrSyntax,
		`{"a":1,}`:           ErrSyntax,
		`{"a":tru}`:          ErrSyntax,
		`{"a"}`:              ErrSyntax,
		`{a:1}`:              ErrSyntax,
		`{"a":1]`:            ErrSyntax,
		"{\"a\":1}\x00":      ErrSyntax,
	} {
		if _, err := Value(text).Object(); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

func TestWhatIsNotTheArrayAskedForIsAnError(t *testing.T) {
	for text, want := range map[string]error{`{}`: ErrArray, `null`: ErrArray, `[1`: ErrSyntax, `[1,]`: ErrSyntax, `[] []`: ErrSyntax, `[1}`: ErrSyntax} {
		if _, err := Value(text).Array(); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	if list, err := Value(`[1, "a", {}]`).Array(); err != nil || len(list) != 3 {
		t.Errorf("%d elements, %v", len(list), err)
	}
}

func TestOnlyPlainIntegersAreIntegers(t *testing.T) {
	for _, text := range []string{``, `"1"`, `1.0`, `1e3`, `01`, `+1`, `0x1`, `1_0`, `null`, `true`, `9223372036854775808`, `1 1`} {
		if n, err := Value(text).Int(); err == nil {
			t.Errorf("%q became %d", text, n)
		}
	}
	if n, err := Value(` -7 `).Int(); err != nil || n != -7 {
		t.Errorf("-7 became %d, %v", n, err)
	}
}

func TestOnlyStringsAndBooleansAreThat(t *testing.T) {
	for _, text := range []string{``, `1`, `null`, `{}`, `"a`, `"a" "b"`} {
		if s, err := Value(text).Text(); err == nil {
			t.Errorf("%q became %q", text, s)
		}
		if b, err := Value(text).Bool(); err == nil {
			t.Errorf("%q became %t", text, b)
		}
	}
	if s, err := Value(`"a\u00e9"`).Text(); err != nil || s != "aé" {
		t.Errorf("got %q, %v", s, err)
	}
	if b, err := Value(`true`).Bool(); err != nil || !b {
		t.Errorf("got %t, %v", b, err)
	}
}
