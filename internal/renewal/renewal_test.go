package renewal

import (
	"encoding/json"
	"errors"
	"testing"

	"envrole/roles/fault"
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
