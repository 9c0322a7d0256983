package seal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const hidden = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

// holders put a secret where a program would: alone, behind a pointer, nested.
func holders() map[string]any {
	s := NewSecret(hidden)
	type inner struct {
		Key Secret
		Ptr *Secret
	}
	type private struct{ key Secret }
	return map[string]any{
		"value":             s,
		"pointer":           &s,
		"field":             inner{Key: s, Ptr: &s},
		"pointer to struct": &inner{Key: s, Ptr: &s},
		"slice":             []Secret{s, s},
		"array":             [2]Secret{s, s},
		"map value":         map[string]Secret{"k": s},
		"map of structs":    map[string]inner{"k": {Key: s, Ptr: &s}},
		"map key":           map[Secret]int{s: 1},
		"interface":         struct{ V any }{s},
		"embedded":          struct{ Secret }{s},
		"unexported field":  private{s},
		"error":             fmt.Errorf("failed with %v, %+v, %#v, %s", s, s, s, s),
	}
}

func TestNoVerbPrintsASecret(t *testing.T) {
	for name, v := range holders() {
		for _, verb := range "vTtbcdoOqxXUeEfFgGsp" {
			if verb == 'T' || verb == 'p' {
				continue // type and address: never the value
			}
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "+#", "60", "-60", ".3", "[1]"} {
				assertHidden(t, name+" %"+flags+string(verb), fmt.Sprintf("%"+flags+string(verb), v))
			}
		}
		assertHidden(t, name+" Sprint", fmt.Sprint(v)+fmt.Sprintln(v))
	}
}

func assertHidden(t *testing.T, how, shown string) {
	t.Helper()
	for _, form := range []string{hidden, hidden[:8], fmt.Sprintf("%x", hidden[:8]), fmt.Sprintf("%X", hidden[:8]), fmt.Sprintf("% x", hidden[:4]), "119 74 97", "77 4a 61"} {
		if strings.Contains(shown, form) {
			t.Errorf("%s shows the secret: %s", how, shown)
			return
		}
	}
}

func TestNoEncodingCarriesASecret(t *testing.T) {
	for name, v := range holders() {
		if b, err := json.Marshal(v); err == nil {
			assertHidden(t, name+" json", string(b))
		}
		if b, err := json.MarshalIndent(v, "", " "); err == nil {
			assertHidden(t, name+" json", string(b))
		}
	}
	b, err := NewSecret(hidden).MarshalText()
	if err != nil || string(b) != redacted {
		t.Errorf("text %q, error %v", b, err)
	}
}

func TestNoLoggerWritesASecret(t *testing.T) {
	for name, v := range holders() {
		var b bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
			log := slog.New(h)
			log.Info("m", "v", v)
			log.With("v", v).WithGroup("g").Info("m", slog.Any("v", v), slog.Group("h", "v", v))
		}
		assertHidden(t, name+" slog", b.String())
	}
}

func TestASecretIsRevealedOnlyOnDemand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.String().Draw(t, "value")
		s := NewSecret(v)
		if s.Reveal() != v || s.Empty() != (v == "") {
			t.Fatalf("revealed %q of %q", s.Reveal(), v)
		}
		if s.String() != redacted || s.GoString() != redacted {
			t.Fatal("not redacted")
		}
	})
	if !(Secret{}).Empty() {
		t.Error("the zero secret is not empty")
	}
}

// A secret that went through JSON is gone, not replaced by the word redacted.
func TestARedactedSecretCannotBeReadBack(t *testing.T) {
	var holder struct{ Key Secret }
	if err := json.Unmarshal([]byte(`{"Key":"`+redacted+`"}`), &holder); err == nil || !holder.Key.Empty() {
		t.Errorf("read back as %q, error %v", holder.Key.Reveal(), err)
	}
}
