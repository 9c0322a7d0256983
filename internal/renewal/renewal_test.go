package renewal

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"envrole/roles/fault"
	"envrole/roles/seal"
)

func TestAnErrorKeepsItsClassAndHelp(t *testing.T) {
	for _, class := range []fault.Class{fault.Internal, fault.Refused, fault.Permanent, fault.Passing} {
		b, err := json.Marshal(Of(fault.New(class, "assume role", "r", errors.New("no"), "Do this.")))
		if err != nil {
			t.Fatal(err)
		}
		got := Read(b)
		if fault.ClassOf(got) != class || fault.HelpOf(got) != "Do this." || got.Error() != "renew session: assume role r: no" {
			t.Errorf("%s: %v", class, got)
		}
		if Final(got) != (class == fault.Refused || class == fault.Permanent) {
			t.Errorf("%s: final %t", class, Final(got))
		}
	}
}

func TestAnOrderCrosses(t *testing.T) {
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	in, err := Order{key, 7, 6 * time.Hour}.Stdin()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if got, err := Take(in); err != nil || got.Key.Encode() != key.Encode() || got.Failures != 7 || got.Need != 6*time.Hour {
		t.Errorf("%d failures, need %s, %v", got.Failures, got.Need, err)
	}
	for _, text := range []string{"", "{}", `{"key":"c2hvcnQ"}`, strings.Repeat("x", 1<<20)} {
		if _, err := Take(strings.NewReader(text)); err == nil || strings.Contains(err.Error(), "c2hvcnQ") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

func TestOnlyAnAnswerCountsAsSuccess(t *testing.T) {
	for _, out := range []string{"", "{}", "null", "[]", "{\"ok\":", "panic: x", "{\"ok\":true} x"} {
		if Read([]byte(out)) == nil {
			t.Errorf("%q counts as success", out)
		}
	}
	if err := Read([]byte(`{"ok":true}` + "\n")); err != nil || Final(nil) {
		t.Error(err)
	}
}
