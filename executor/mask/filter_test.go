package mask

import (
	"bytes"
	"testing"
)

func TestASecretIsReplaced(t *testing.T) {
	var out bytes.Buffer
	f, err := New(&out, awsKey(), awsToken())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []byte("key " + awsKey() + " token " + awsToken() + ".\n") {
		if _, err := f.Write([]byte{c}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	if want := "key [MASKED] token [MASKED].\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if f.Masked() != 2 {
		t.Errorf("counted %d replacements, want 2", f.Masked())
	}
}
