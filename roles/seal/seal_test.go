package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func newKey(t interface{ Fatal(...any) }) Key {
	k, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestWhatIsSealedOpensWithTheSameKeyAndContext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := newKey(t)
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		context := rapid.String().Draw(t, "context")
		blob, err := k.Seal(plain, context)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := ParseKey(k.Encode())
		if err != nil {
			t.Fatal(err)
		}
		got, err := parsed.Open(blob, context)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("opened as %q, error %v", got, err)
		}
		if len(plain) > 8 && bytes.Contains(blob, plain) {
			t.Fatal("the blob holds the plain text")
		}
	})
}

func TestNoOtherKeyContextOrBlobOpens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := newKey(t)
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		context := rapid.String().Draw(t, "context")
		blob, err := k.Seal(plain, context)
		if err != nil {
			t.Fatal(err)
		}
		refuse := func(how string, k Key, blob []byte, context string) {
			got, err := k.Open(blob, context)
			if err == nil || got != nil {
				t.Fatalf("%s: opened as %q", how, got)
			}
			if !errors.Is(err, ErrOpen) && !errors.Is(err, ErrVersion) {
				t.Fatalf("%s: error %v is neither ErrOpen nor ErrVersion", how, err)
			}
			if len(plain) > 8 && strings.Contains(err.Error(), string(plain)) {
				t.Fatalf("%s: the error holds the plain text", how)
			}
		}
		refuse("another key", newKey(t), blob, context)
		refuse("the key of zeros", Key{raw: NewSecret(string(make([]byte, KeySize)))}, blob, context)
		other := rapid.String().Filter(func(s string) bool { return s != context }).Draw(t, "other context")
		refuse("another context", k, blob, other)
		refuse("a longer context", k, blob, context+"0")

		bit := rapid.IntRange(0, len(blob)*8-1).Draw(t, "bit")
		flipped := bytes.Clone(blob)
		flipped[bit/8] ^= 1 << (bit % 8)
		refuse("a flipped bit", k, flipped, context)
		refuse("a cut blob", k, blob[:rapid.IntRange(0, len(blob)-1).Draw(t, "length")], context)
		refuse("a longer blob", k, append(bytes.Clone(blob), 0), context)
	})
}

func TestTheZeroKeyNeitherSealsNorOpens(t *testing.T) {
	blob, err := newKey(t).Seal([]byte("x"), "c")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := (Key{}).Open(blob, "c"); err == nil || got != nil {
		t.Errorf("opened as %q", got)
	}
	if got, err := (Key{}).Seal([]byte("x"), "c"); err == nil || got != nil {
		t.Error("sealed under no key")
	}
	if _, err := ParseKey(Key{}.Encode()); err == nil {
		t.Error("no key is parsed as one")
	}
}

func TestTheContextOfOneLeaseIsNotAnothers(t *testing.T) {
	k := newKey(t)
	blob, err := k.Seal([]byte("x"), "lease-1/job-11")
	if err != nil {
		t.Fatal(err)
	}
	for _, context := range []string{"", "lease-1/job-1", "lease-11/job-1", "lease-1/job-11 ", "lease-2/job-11"} {
		if _, err := k.Open(blob, context); !errors.Is(err, ErrOpen) {
			t.Errorf("%q: %v", context, err)
		}
	}
}

func TestABlobOfALaterFormatSaysSo(t *testing.T) {
	k := newKey(t)
	blob, err := k.Seal([]byte("x"), "c")
	if err != nil {
		t.Fatal(err)
	}
	for v := range 256 {
		blob[0] = byte(v)
		_, err := k.Open(blob, "c")
		if v == version && err != nil || v != version && !errors.Is(err, ErrVersion) {
			t.Errorf("version %d: %v", v, err)
		}
	}
	for _, blob := range [][]byte{nil, {}} {
		if _, err := k.Open(blob, "c"); !errors.Is(err, ErrOpen) {
			t.Errorf("%v: %v", blob, err)
		}
	}
}

func TestSealingTwiceGivesTwoBlobs(t *testing.T) {
	k := newKey(t)
	seen := map[string]bool{}
	for range 1000 {
		blob, err := k.Seal([]byte("same"), "c")
		if err != nil || seen[string(blob)] {
			t.Fatalf("the same blob again, error %v", err)
		}
		seen[string(blob)] = true
	}
}

func TestNoTwoKeysAreTheSame(t *testing.T) {
	seen := map[string]bool{(Key{raw: NewSecret(string(make([]byte, KeySize)))}).Encode(): true}
	for range 1000 {
		k := newKey(t).Encode()
		if seen[k] {
			t.Fatal("a key came twice, or is zero")
		}
		seen[k] = true
	}
}

func TestOnlyAKeyIsParsedAndTheErrorRepeatsNothing(t *testing.T) {
	good := newKey(t).Encode()
	for _, bad := range []string{
		"", "x", good[:42], good + "A", good + "=", " " + good, "*" + good[1:],
		strings.Repeat("+", 43), base64.RawURLEncoding.EncodeToString(make([]byte, 31)), base64.RawURLEncoding.EncodeToString(make([]byte, 33)),
	} {
		_, err := ParseKey(bad)
		if err == nil {
			t.Errorf("%q is taken for a key", bad)
			continue
		}
		if len(bad) > 8 && strings.Contains(err.Error(), bad[4:12]) {
			t.Errorf("the error repeats the input: %v", err)
		}
	}
}

func TestAKeyIsNeverShown(t *testing.T) {
	k := newKey(t)
	raw := []byte(k.raw.Reveal())
	forms := []string{k.raw.Reveal()[:8], k.Encode(), k.Encode()[:10], hex.EncodeToString(raw[:6]), strings.ToUpper(hex.EncodeToString(raw[:6])), fmt.Sprintf("%d %d %d", raw[0], raw[1], raw[2]), fmt.Sprintf("%d, %d, %d", raw[0], raw[1], raw[2])}
	type holder struct {
		Key Key
		Ptr *Key
	}
	type private struct{ key Key }
	for name, v := range map[string]any{
		"value": k, "pointer": &k, "field": holder{k, &k}, "slice": []Key{k}, "map": map[string]Key{"k": k},
		"unexported field": private{k}, "error": fmt.Errorf("with %v %+v %#v %x", k, k, k, k),
	} {
		var b bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%b", "%c", "%U"} {
			fmt.Fprintf(&b, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&b, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "v", v)
		if j, err := json.Marshal(v); err == nil {
			b.Write(j)
		}
		for _, form := range forms {
			if strings.Contains(b.String(), form) {
				t.Errorf("%s shows the key", name)
			}
		}
	}
}
